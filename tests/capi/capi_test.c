/* Every function of lectern.h as a program in C meets it: what it gives, and what it refuses.
 *     capi_test TINY_MODEL MODEL.gguf EMPTY_FOLDER */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static const char* const kGarden =
    "# The garden\n\n## Beans\n\nThe runner beans were sown on 12 May, in two rows.\n\n"
    "## Tomatoes\n\nThe tomatoes ripen in August. \xe7\x95\xaa\xe8\x8c\x84 is their Chinese name.\n";
static const char* const kBells = "The great bell of the clock tower weighs 1,240 kilograms.\n";

static const char* folder;

static const char* in_folder(const char* name, char* place, size_t n) {
  snprintf(place, n, "%s/%s", folder, name);
  return place;
}

static void write_file(const char* path, const char* bytes, size_t n) {
  FILE* file = fopen(path, "wb");
  CHECK(file != NULL);
  if (file == NULL) return;
  CHECK(fwrite(bytes, 1, n, file) == n);
  CHECK(fclose(file) == 0);
}

static lectern_collection* two_documents(void) {
  lectern_collection* made = NULL;
  CHECK_OK(lectern_collection_open_memory(&made));
  CHECK_OK(lectern_collection_add(made, "garden.md", kGarden, strlen(kGarden), NULL, NULL));
  CHECK_OK(lectern_collection_add(made, "bells.txt", kBells, strlen(kBells), NULL, NULL));
  return made;
}

/* ---- versions, errors, handles ----------------------------------------------------------- */

static void versions_are_those_of_the_header(void) {
  CHECK(strcmp(lectern_version(), LECTERN_VERSION_STRING) == 0);
  CHECK(lectern_abi_version() == LECTERN_ABI_VERSION);
  CHECK(strcmp(lectern_last_error(), "") == 0); /* nothing has failed yet */
  CHECK(strcmp(lectern_status_name(LECTERN_OK), "ok") == 0);
  for (int status = LECTERN_OK; status <= LECTERN_INTERNAL; ++status)
    CHECK(strcmp(lectern_status_name(status), "unknown") != 0);
  CHECK(strcmp(lectern_status_name(-1), "unknown") == 0);
  CHECK(strcmp(lectern_status_name(LECTERN_INTERNAL + 1), "unknown") == 0);
}

static void every_free_takes_null(void) {
  lectern_cancel_free(NULL);
  lectern_models_free(NULL);
  lectern_model_free(NULL);
  lectern_collection_free(NULL);
  lectern_index_report_free(NULL);
  lectern_documents_free(NULL);
  lectern_text_free(NULL);
  lectern_stats_free(NULL);
  lectern_hits_free(NULL);
  lectern_answer_free(NULL);
  lectern_reply_free(NULL);
  lectern_cancel_set(NULL);
  CHECK(lectern_cancel_is_set(NULL) == 0);
  CHECK(strcmp(lectern_model_name(NULL), "") == 0);
  CHECK(strcmp(lectern_model_description(NULL), "") == 0);
  CHECK(lectern_model_context_tokens(NULL) == 0);
}

static void null_is_refused(lectern_model* model) {
  lectern_collection* memory = two_documents();
  lectern_collection* collection = memory; /* must be NULL after each failure */
  lectern_model* loaded = model;
  const lectern_hits* hits = (const lectern_hits*)memory;
  const lectern_answer* answer = (const lectern_answer*)memory;
  const lectern_reply* reply = (const lectern_reply*)memory;
  const lectern_documents* documents = (const lectern_documents*)memory;
  const lectern_text* text = (const lectern_text*)memory;
  const lectern_stats* stats = (const lectern_stats*)memory;
  const lectern_index_report* report = (const lectern_index_report*)memory;
  const lectern_message hello = {"user", "hello"};

  CHECK_REFUSED("out", lectern_cancel_create(NULL));
  CHECK_REFUSED("out", lectern_models_list(NULL));
  CHECK_REFUSED("out", lectern_model_load("no-such-model", NULL, NULL));
  CHECK_REFUSED("path", lectern_collection_open(NULL, &collection));
  CHECK(collection == NULL);
  CHECK_REFUSED("out", lectern_collection_open("x", NULL));
  collection = memory;
  CHECK_REFUSED("folder", lectern_collection_open_folder(NULL, &collection));
  CHECK(collection == NULL);
  CHECK_REFUSED("out", lectern_collection_open_folder(folder, NULL));
  CHECK_REFUSED("out", lectern_collection_open_memory(NULL));
  CHECK_REFUSED("path", lectern_collection_delete(NULL));
  CHECK_REFUSED("collection", lectern_collection_index(NULL, NULL, &report));
  CHECK(report == NULL);
  CHECK_REFUSED("collection", lectern_collection_index(NULL, NULL, NULL));
  CHECK_REFUSED("collection", lectern_collection_add(NULL, "a.txt", "a", 1, NULL, NULL));
  CHECK_REFUSED("path", lectern_collection_add(memory, NULL, "a", 1, NULL, NULL));
  CHECK_REFUSED("bytes", lectern_collection_add(memory, "a.txt", NULL, 1, NULL, NULL));
  CHECK_REFUSED("collection", lectern_collection_remove(NULL, "a.txt", NULL));
  CHECK_REFUSED("path", lectern_collection_remove(memory, NULL, NULL));
  CHECK_REFUSED("collection", lectern_collection_documents(NULL, &documents));
  CHECK(documents == NULL);
  CHECK_REFUSED("out", lectern_collection_documents(memory, NULL));
  CHECK_REFUSED("collection", lectern_collection_text(NULL, 1, 0, 1, &text));
  CHECK(text == NULL);
  CHECK_REFUSED("out", lectern_collection_text(memory, 1, 0, 1, NULL));
  CHECK_REFUSED("collection", lectern_collection_stats(NULL, &stats));
  CHECK(stats == NULL);
  CHECK_REFUSED("out", lectern_collection_stats(memory, NULL));
  CHECK_REFUSED("collection", lectern_search(NULL, "beans", NULL, &hits));
  CHECK(hits == NULL);
  CHECK_REFUSED("query", lectern_search(memory, NULL, NULL, &hits));
  CHECK_REFUSED("out", lectern_search(memory, "beans", NULL, NULL));
  CHECK_REFUSED("model", lectern_ask(NULL, memory, "beans?", NULL, &answer));
  CHECK(answer == NULL);
  CHECK_REFUSED("model", lectern_generate(NULL, &hello, 1, NULL, &reply));
  CHECK(reply == NULL);
  CHECK_REFUSED("collection", lectern_ask(model, NULL, "beans?", NULL, &answer));
  CHECK_REFUSED("question", lectern_ask(model, memory, NULL, NULL, &answer));
  CHECK_REFUSED("out", lectern_ask(model, memory, "beans?", NULL, NULL));
  CHECK_REFUSED("messages", lectern_generate(model, NULL, 1, NULL, &reply));
  CHECK_REFUSED("n_messages", lectern_generate(model, &hello, 0, NULL, &reply));
  CHECK_REFUSED("out", lectern_generate(model, &hello, 1, NULL, NULL));

  /* Lists that have a size and no elements. */
  lectern_search_options search = {.struct_size = sizeof search, .n_documents = 2};
  CHECK_REFUSED("documents", lectern_search(memory, "beans", &search, &hits));
  lectern_index_options index = {.struct_size = sizeof index, .n_paths = 1};
  CHECK_REFUSED("paths", lectern_collection_index(memory, &index, NULL));
  const char* const nothing[] = {NULL};
  index.paths = nothing;
  CHECK_REFUSED("paths", lectern_collection_index(memory, &index, NULL));
  lectern_ask_options ask = {.struct_size = sizeof ask, .n_documents = 1};
  CHECK_REFUSED("documents", lectern_ask(model, memory, "beans?", &ask, &answer));
  ask.n_documents = 0;
  ask.n_history = 1;
  CHECK_REFUSED("history", lectern_ask(model, memory, "beans?", &ask, &answer));
  const lectern_message no_role = {NULL, "text"}, no_text = {"user", NULL};
  ask.history = &no_role;
  CHECK_REFUSED("role", lectern_ask(model, memory, "beans?", &ask, &answer));
  ask.history = &no_text;
  CHECK_REFUSED("text", lectern_ask(model, memory, "beans?", &ask, &answer));
  CHECK_REFUSED("role", lectern_generate(model, &no_role, 1, NULL, &reply));
  CHECK_REFUSED("text", lectern_generate(model, &no_text, 1, NULL, &reply));
  lectern_generate_options generate = {.struct_size = sizeof generate, .n_stop = 1};
  CHECK_REFUSED("stop", lectern_generate(model, &hello, 1, &generate, &reply));
  generate.stop = nothing;
  CHECK_REFUSED("stop", lectern_generate(model, &hello, 1, &generate, &reply));
  CHECK(loaded == model && answer == NULL && reply == NULL && hits == NULL);
  lectern_collection_free(memory);
}

static void struct_sizes_are_checked(lectern_model* model) {
  lectern_collection* memory = two_documents();
  const lectern_hits* hits = NULL;
  struct {
    lectern_search_options options;
    char later[64];
  } search;
  memset(&search, 0, sizeof search);
  CHECK_REFUSED("struct_size", lectern_search(memory, "beans", &search.options, &hits));
  search.options.struct_size = sizeof(size_t);
  CHECK_REFUSED("struct_size", lectern_search(memory, "beans", &search.options, &hits));
  search.options.struct_size = (size_t)-1; /* not read that far */
  CHECK_REFUSED("struct_size", lectern_search(memory, "beans", &search.options, &hits));
  search.options.struct_size = sizeof search; /* a later header whose new fields are 0 */
  CHECK_OK(lectern_search(memory, "beans", &search.options, &hits));
  lectern_hits_free(hits);
  search.later[63] = 1;
  CHECK_REFUSED("later version", lectern_search(memory, "beans", &search.options, &hits));
  CHECK(hits == NULL);

  const lectern_index_options index = {0};
  const lectern_ask_options ask = {0};
  const lectern_generate_options generate = {0};
  const lectern_model_options load = {0};
  const lectern_pull_options pull = {0};
  const lectern_message hello = {"user", "hello"};
  const lectern_answer* answer = NULL;
  const lectern_reply* reply = NULL;
  lectern_model* loaded = NULL;
  CHECK_REFUSED("lectern_index_options", lectern_collection_index(memory, &index, NULL));
  CHECK_REFUSED("lectern_ask_options", lectern_ask(model, memory, "beans?", &ask, &answer));
  CHECK_REFUSED("lectern_generate_options", lectern_generate(model, &hello, 1, &generate, &reply));
  CHECK_REFUSED("lectern_model_options", lectern_model_load("x", &load, &loaded));
  CHECK_REFUSED("lectern_pull_options", lectern_pull(NULL, &pull));
  lectern_collection_free(memory);
}

/* ---- collections ------------------------------------------------------------------------- */

static void a_collection_holds_what_was_added(void) {
  lectern_collection* collection = NULL;
  int64_t garden = 0;
  CHECK_OK(lectern_collection_open_memory(&collection));
  CHECK_OK(lectern_collection_add(collection, "notes/garden.md", kGarden, strlen(kGarden), NULL, &garden));
  CHECK_OK(lectern_collection_add(collection, "bells", kBells, strlen(kBells), "text", NULL));
  CHECK_OK(lectern_collection_add(collection, "empty.txt", NULL, 0, NULL, NULL));
  CHECK(garden != 0);
  CHECK_STATUS(LECTERN_UNSUPPORTED, "x.bin", lectern_collection_add(collection, "x.bin", "\0\1\2", 3, NULL, NULL));
  CHECK(lectern_collection_add(collection, "a.txt", "a", 1, "no-such-format", NULL) != LECTERN_OK);
  CHECK(strstr(lectern_last_error(), "no-such-format") != NULL);
  CHECK_REFUSED("path", lectern_collection_add(collection, "", "a", 1, NULL, NULL));

  const lectern_documents* documents = NULL;
  CHECK_OK(lectern_collection_documents(collection, &documents));
  CHECK(documents != NULL && documents->n_documents >= 2);
  int seen = 0;
  for (size_t i = 0; documents != NULL && i < documents->n_documents; ++i) {
    const lectern_document* document = documents->documents[i];
    CHECK(document->title != NULL && document->language != NULL);
    if (document->id != garden) continue;
    ++seen;
    CHECK(strcmp(document->path, "notes/garden.md") == 0);
    CHECK(strcmp(document->format, "markdown") == 0);
    CHECK(strcmp(document->title, "The garden") == 0);
    CHECK(strlen(document->hash) == 64);
    CHECK(document->n_passages >= 1 && document->text_bytes > 0);
  }
  CHECK(seen == 1);
  lectern_documents_free(documents);

  const lectern_stats* stats = NULL;
  CHECK_OK(lectern_collection_stats(collection, &stats));
  CHECK(stats != NULL && stats->n_documents >= 2 && stats->n_passages >= 2 && strcmp(stats->path, "") == 0);
  CHECK(stats->n_languages >= 1 && stats->n_folders == 0);
  lectern_stats_free(stats);

  int n = -1;
  CHECK_OK(lectern_collection_remove(collection, "notes", &n));
  CHECK(n == 1);
  const lectern_text* text = NULL;
  CHECK_STATUS(LECTERN_NOT_FOUND, "", lectern_collection_text(collection, garden, 0, 1, &text));
  n = -1;
  (void)lectern_collection_remove(collection, "never-there", &n);
  CHECK(n == 0);
  CHECK_REFUSED("paths", lectern_collection_index(collection, NULL, NULL)); /* of no folder yet */
  lectern_collection_free(collection);
}

static void texts_are_cut_at_whole_characters(void) {
  lectern_collection* collection = NULL;
  const char words[] = "a\xe8\x8c\xb6" "b"; /* a茶b */
  int64_t id = 0;
  CHECK_OK(lectern_collection_open_memory(&collection));
  CHECK_OK(lectern_collection_add(collection, "tea.txt", words, sizeof words - 1, NULL, &id));
  const lectern_text* text = NULL;
  CHECK_OK(lectern_collection_text(collection, id, 0, UINT64_MAX, &text));
  CHECK(text != NULL && text->text_bytes == strlen(text->text) && text->begin == 0);
  CHECK(text->end == text->document_bytes && strncmp(text->text, words, 5) == 0);
  lectern_text_free(text);
  CHECK_OK(lectern_collection_text(collection, id, 2, 3, &text)); /* in the middle of the character */
  CHECK(text->begin == 1 && text->end == 4 && strcmp(text->text, "\xe8\x8c\xb6") == 0);
  lectern_text_free(text);
  CHECK_OK(lectern_collection_text(collection, id, 4, 2, &text)); /* ends before it begins */
  CHECK(text->text_bytes == 0 && strcmp(text->text, "") == 0);
  lectern_text_free(text);
  CHECK_OK(lectern_collection_text(collection, id, UINT64_MAX - 1, UINT64_MAX, &text));
  CHECK(text->text_bytes == 0);
  lectern_text_free(text);
  CHECK_STATUS(LECTERN_NOT_FOUND, "", lectern_collection_text(collection, id + 99, 0, 1, &text));
  CHECK(text == NULL);
  lectern_collection_free(collection);
}

static void a_search_finds_and_highlights(void) {
  lectern_collection* collection = two_documents();
  const lectern_hits* hits = NULL;
  CHECK_OK(lectern_search(collection, "when were the beans sown", NULL, &hits));
  CHECK(hits != NULL && hits->n_hits >= 1 && hits->seconds >= 0);
  lectern_collection_free(collection); /* results outlive what they came from */
  const lectern_hit* best = hits->hits[0];
  CHECK(strcmp(best->passage->path, "garden.md") == 0);
  CHECK(best->passage->document_id != 0 && best->passage->line_first >= 1 && best->passage->page_first == 0);
  CHECK(strlen(best->passage->text) == best->passage->text_bytes && best->score > 0);
  CHECK(best->passage->end > best->passage->begin && best->heading != NULL);
  int beans = 0;
  for (size_t i = 0; i < best->n_highlights; ++i) {
    const lectern_range range = best->highlights[i];
    CHECK(range.begin < range.end && range.end <= best->passage->text_bytes);
    beans += range.end - range.begin == 5 && strncmp(best->passage->text + range.begin, "beans", 5) == 0;
  }
  CHECK(beans >= 1);
  lectern_hits_free(hits);
}

static void searches_are_limited(void) {
  lectern_collection* collection = two_documents();
  const lectern_hits* hits = NULL;
  const lectern_documents* documents = NULL;
  CHECK_OK(lectern_collection_documents(collection, &documents));
  int64_t bells = 0;
  for (size_t i = 0; i < documents->n_documents; ++i)
    if (strcmp(documents->documents[i]->path, "bells.txt") == 0) bells = documents->documents[i]->id;
  lectern_documents_free(documents);
  lectern_search_options options = {.struct_size = sizeof options, .documents = &bells, .n_documents = 1};
  CHECK_OK(lectern_search(collection, "beans bell", &options, &hits));
  CHECK(hits->n_hits == 1 && hits->hits[0]->passage->document_id == bells);
  lectern_hits_free(hits);
  options.n_documents = 0;
  options.limit = 1;
  options.follow_names = 1;
  CHECK_OK(lectern_search(collection, "beans bell", &options, &hits));
  CHECK(hits->n_hits == 1);
  lectern_hits_free(hits);
  CHECK_OK(lectern_search(collection, "zeppelin", NULL, &hits));
  CHECK(hits->n_hits == 0);
  lectern_hits_free(hits);
  options.limit = 1001;
  CHECK_REFUSED("limit", lectern_search(collection, "beans", &options, &hits));
  options.limit = -1;
  CHECK_REFUSED("limit", lectern_search(collection, "beans", &options, &hits));
  CHECK_REFUSED("", lectern_search(collection, " ... ", NULL, &hits));
  CHECK_REFUSED("", lectern_search(collection, "", NULL, &hits));
  CHECK(hits == NULL);
  lectern_collection_free(collection);
}

static int stop_at_once(const lectern_progress* progress, void* n_calls) {
  CHECK(progress->stage != NULL && progress->item != NULL);
  ++*(int*)n_calls;
  return 1;
}

static void files_are_indexed_and_kept(void) {
  char notes[4096], garden[4096], database[4096], odd[4096];
  CHECK(mkdir(in_folder("notes", notes, sizeof notes), 0755) == 0);
  write_file(in_folder("notes/garden.md", garden, sizeof garden), kGarden, strlen(kGarden));
  write_file(in_folder("notes/bells.txt", odd, sizeof odd), kBells, strlen(kBells));
  write_file(in_folder("notes/broken.docx", odd, sizeof odd), "PK\3\4 not a zip", 14);
  in_folder("deep/er/notes.db", database, sizeof database);

  lectern_collection* collection = NULL;
  const lectern_index_report* report = NULL;
  CHECK_OK(lectern_collection_open(database, &collection));
  const char* paths[] = {notes};
  int n_calls = 0;
  lectern_index_options options = {.struct_size = sizeof options, .paths = paths, .n_paths = 1,
                                   .on_progress = stop_at_once, .user_data = &n_calls};
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_collection_index(collection, &options, &report));
  CHECK(report == NULL && n_calls >= 1);
  options.on_progress = NULL;
  lectern_cancel* cancel = NULL;
  CHECK_OK(lectern_cancel_create(&cancel));
  lectern_cancel_set(cancel);
  CHECK(lectern_cancel_is_set(cancel) == 1);
  options.cancel = cancel;
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_collection_index(collection, &options, NULL));
  lectern_cancel_free(cancel);
  options.cancel = NULL;
  CHECK_OK(lectern_collection_index(collection, &options, &report));
  CHECK(report != NULL && report->added + report->unchanged == 2 && report->n_warnings == 1);
  CHECK(strstr(report->warnings[0]->path, "broken.docx") != NULL && strlen(report->warnings[0]->reason) > 0);
  lectern_index_report_free(report);
  write_file(garden, kBells, strlen(kBells));
  CHECK_OK(lectern_collection_index(collection, NULL, &report)); /* what was indexed before */
  CHECK(report->changed == 1 && report->added == 0);
  lectern_index_report_free(report);
  const lectern_stats* stats = NULL;
  CHECK_OK(lectern_collection_stats(collection, &stats));
  CHECK(strcmp(stats->path, database) == 0 && stats->n_folders == 1 && stats->file_bytes > 0);
  lectern_stats_free(stats);
  lectern_collection_free(collection);

  CHECK_OK(lectern_collection_open(database, &collection)); /* still there */
  CHECK_OK(lectern_collection_stats(collection, &stats));
  CHECK(stats->n_documents == 2);
  lectern_stats_free(stats);
  paths[0] = "/no/such/folder";
  CHECK(lectern_collection_index(collection, &options, &report) == LECTERN_NOT_FOUND ||
        strstr(lectern_last_error(), "/no/such/folder") != NULL);
  lectern_collection_free(collection);

  CHECK_OK(lectern_collection_open_folder(notes, &collection));
  CHECK_OK(lectern_collection_index(collection, NULL, &report));
  CHECK(report->added == 2);
  lectern_index_report_free(report);
  lectern_collection_free(collection);
  CHECK_STATUS(LECTERN_NOT_FOUND, "/no/such/folder", lectern_collection_open_folder("/no/such/folder", &collection));
  CHECK(collection == NULL);

  FILE* file = fopen(database, "r+b"); /* its first page still says what it is, the rest is noise */
  CHECK(file != NULL);
  if (file != NULL) {
    for (int at = 100; at < 20000; ++at) fseek(file, at, SEEK_SET), fputc(at * 7 % 251, file);
    fclose(file);
  }
  const lectern_hits* hits = NULL;
  int status = lectern_collection_open(database, &collection);
  if (status == LECTERN_OK) status = lectern_search(collection, "beans", NULL, &hits);
  CHECK_STATUS(LECTERN_CORRUPT, "notes.db", status);
  CHECK(hits == NULL);
  lectern_collection_free(collection);
  CHECK_OK(lectern_collection_delete(database));
  CHECK(lectern_collection_delete(database) == LECTERN_NOT_FOUND);
  /* What is no database of ours is neither opened nor deleted. */
  CHECK(lectern_collection_open(odd, &collection) != LECTERN_OK && collection == NULL);
  CHECK(lectern_collection_delete(odd) != LECTERN_OK && access(odd, F_OK) == 0);
  CHECK(lectern_collection_open("/dev/null/no/notes.db", &collection) != LECTERN_OK && collection == NULL);
}

/* ---- threads ----------------------------------------------------------------------------- */

static void* search_often(void* collection) {
  long failures = 0;
  for (int i = 0; i < 40; ++i) {
    const lectern_hits* hits = NULL;
    if (lectern_search(collection, "beans", NULL, &hits) != LECTERN_OK || hits->n_hits == 0) ++failures;
    lectern_hits_free(hits);
  }
  return (void*)failures;
}

static void* add_often(void* collection) {
  long failures = 0;
  for (int i = 0; i < 20; ++i) {
    char path[32], text[64];
    snprintf(path, sizeof path, "note-%d.txt", i % 5);
    const int n = snprintf(text, sizeof text, "Note %d is about beans again.\n", i);
    if (lectern_collection_add(collection, path, text, (size_t)n, NULL, NULL) != LECTERN_OK) ++failures;
  }
  return (void*)failures;
}

static void* fail_elsewhere(void* nothing) {
  CHECK(strcmp(lectern_last_error(), "") == 0); /* errors belong to their thread */
  CHECK_REFUSED("out", lectern_collection_open_memory(NULL));
  return nothing;
}

static void many_threads_use_one_collection(void) {
  lectern_collection* collection = two_documents();
  pthread_t threads[4];
  CHECK(pthread_create(&threads[0], NULL, search_often, collection) == 0);
  CHECK(pthread_create(&threads[1], NULL, search_often, collection) == 0);
  CHECK(pthread_create(&threads[2], NULL, add_often, collection) == 0);
  CHECK(pthread_create(&threads[3], NULL, add_often, collection) == 0);
  for (int i = 0; i < 4; ++i) {
    void* failures = NULL;
    CHECK(pthread_join(threads[i], &failures) == 0 && failures == NULL);
  }
  lectern_collection_free(collection);

  CHECK_REFUSED("folder", lectern_collection_open_folder(NULL, &collection));
  pthread_t other;
  CHECK(pthread_create(&other, NULL, fail_elsewhere, NULL) == 0);
  CHECK(pthread_join(other, NULL) == 0);
  CHECK(strstr(lectern_last_error(), "folder") != NULL); /* undisturbed */
}

/* ---- models ------------------------------------------------------------------------------ */

static void models_are_listed(void) {
  const lectern_models* models = NULL;
  CHECK_OK(lectern_models_list(&models));
  int n_default = 0;
  for (size_t i = 0; i < models->n_models; ++i) {
    const lectern_model_info* info = models->models[i];
    CHECK(strlen(info->id) > 0 && strlen(info->title) > 0 && strlen(info->licence) > 0);
    CHECK(info->context_tokens > 0 && (info->installed != 0) == (strlen(info->path) > 0));
    n_default += info->is_default;
  }
  CHECK(n_default == 1);
  lectern_models_free(models);

  lectern_pull_options options = {.struct_size = sizeof options, .offline = 1};
  CHECK_STATUS(LECTERN_NOT_FOUND, "no-such-model", lectern_pull("no-such-model", &options));
  options.source = "a-friend";
  CHECK_REFUSED("source", lectern_pull(NULL, &options));
}

static void models_that_cannot_be_loaded(const char* good) {
  lectern_model* model = NULL;
  CHECK_STATUS(LECTERN_NOT_FOUND, "no-such-model", lectern_model_load("no-such-model", NULL, &model));
  CHECK_STATUS(LECTERN_NOT_FOUND, "x.gguf", lectern_model_load("/no/such/x.gguf", NULL, &model));
  char path[4096];
  write_file(in_folder("noise.gguf", path, sizeof path), "GGUF\3\0\0\0\377\377\377\377\377\377\377\177", 16);
  CHECK_STATUS(LECTERN_CORRUPT, "noise.gguf", lectern_model_load(path, NULL, &model));
  FILE* file = fopen(good, "rb");
  char* bytes = malloc(40000);
  CHECK(file != NULL && bytes != NULL && fread(bytes, 1, 40000, file) == 40000);
  if (file != NULL) fclose(file);
  write_file(in_folder("cut.gguf", path, sizeof path), bytes, 40000); /* the weights are missing */
  free(bytes);
  CHECK_STATUS(LECTERN_CORRUPT, "cut.gguf", lectern_model_load(path, NULL, &model));
  CHECK(model == NULL);
  lectern_model_options options = {.struct_size = sizeof options, .kv_type = "f12"};
  CHECK_REFUSED("f12", lectern_model_load(good, &options, &model));
  options.kv_type = NULL;
  options.threads = -1;
  CHECK_REFUSED("", lectern_model_load(good, &options, &model));
  options.threads = 0;
  options.context_tokens = -5;
  CHECK_REFUSED("", lectern_model_load(good, &options, &model));
  options.context_tokens = 0;
  lectern_cancel* cancel = NULL;
  CHECK_OK(lectern_cancel_create(&cancel));
  lectern_cancel_set(cancel);
  options.cancel = cancel;
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_model_load(good, &options, &model));
  CHECK(model == NULL);
  lectern_cancel_free(cancel);
  /* A callback stops at the matrix at hand, not after the last. */
  int n_calls = 0;
  options.cancel = NULL;
  options.on_progress = stop_at_once;
  options.user_data = &n_calls;
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_model_load(good, &options, &model));
  CHECK(model == NULL && n_calls == 1);
}

struct heard {
  char text[4096];
  size_t n;
  int n_calls, stop_after; /* 0: never */
  lectern_cancel* cancel;  /* set instead of stopping */
};

static int hear(const char* text, size_t n, void* user_data) {
  struct heard* heard = user_data;
  CHECK(strlen(text) == n || memchr(text, 0, n) != NULL);
  if (heard->n + n < sizeof heard->text) memcpy(heard->text + heard->n, text, n);
  heard->n += n;
  ++heard->n_calls;
  if (heard->n_calls != heard->stop_after) return 0;
  if (heard->cancel == NULL) return 7;
  lectern_cancel_set(heard->cancel);
  return 0;
}

static void a_model_generates(lectern_model* model) {
  const lectern_message messages[] = {{"system", "Be brief."}, {"user", "Say something."}};
  struct heard heard = {.n = 0};
  lectern_generate_options options = {.struct_size = sizeof options, .max_tokens = 24, .on_text = hear,
                                      .user_data = &heard};
  const lectern_reply *first = NULL, *second = NULL;
  CHECK_OK(lectern_generate(model, messages, 2, &options, &first));
  CHECK(first != NULL && first->new_tokens >= 1 && first->prompt_tokens > 10);
  CHECK(heard.n == first->text_bytes && memcmp(heard.text, first->text, heard.n) == 0);
  CHECK_OK(lectern_generate(model, messages, 2, &options, &second)); /* the same again, partly from memory */
  CHECK(second->text_bytes == first->text_bytes && memcmp(first->text, second->text, first->text_bytes) == 0);
  CHECK(second->prompt_tokens == first->prompt_tokens && second->cached_prompt_tokens >= 0);
  lectern_reply_free(first);
  lectern_reply_free(second);

  options.temperature = 1;
  options.top_k = 50;
  options.top_p = 0.9f;
  options.seed = 7;
  CHECK_OK(lectern_generate(model, messages, 2, &options, &first));
  CHECK_OK(lectern_generate(model, messages, 2, &options, &second)); /* the same seed */
  CHECK(second->text_bytes == first->text_bytes && memcmp(first->text, second->text, first->text_bytes) == 0);
  lectern_reply_free(first);
  lectern_reply_free(second);
  options.temperature = -1;
  CHECK_REFUSED("temperature", lectern_generate(model, messages, 2, &options, &first));
  options.temperature = 0;
  options.top_k = 0;
  options.top_p = 0;

  options.json_schema = "{\"type\":\"object\",\"properties\":{\"sown\":{\"type\":\"boolean\"}},"
                        "\"required\":[\"sown\"],\"additionalProperties\":false}";
  options.max_tokens = 64;
  CHECK_OK(lectern_generate(model, messages, 2, &options, &first));
  CHECK(first->truncated || strstr(first->text, "true") != NULL || strstr(first->text, "false") != NULL);
  CHECK(strstr(first->text, "\"sown\"") != NULL && first->text[0] == '{');
  lectern_reply_free(first);
  options.json_schema = "{\"type\":";
  CHECK(lectern_generate(model, messages, 2, &options, &first) != LECTERN_OK && first == NULL);
  CHECK(strstr(lectern_last_error(), "json_schema") != NULL);
  options.json_schema = NULL;
  options.max_tokens = -1;
  CHECK_REFUSED("max_tokens", lectern_generate(model, messages, 2, &options, &first));
  const lectern_message nobody = {"wizard", "hello"};
  CHECK_REFUSED("wizard", lectern_generate(model, &nobody, 1, NULL, &first));
}

static void a_reply_can_be_cancelled(lectern_model* model) {
  const lectern_message message = {"user", "Talk for ever."};
  struct heard heard = {.stop_after = 1};
  lectern_generate_options options = {.struct_size = sizeof options, .max_tokens = 100, .on_text = hear,
                                      .user_data = &heard};
  const lectern_reply* reply = NULL;
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_generate(model, &message, 1, &options, &reply));
  CHECK(reply == NULL && heard.n_calls == 1); /* nothing is told after the stop */
  heard = (struct heard){.stop_after = 1};
  CHECK_OK(lectern_cancel_create(&heard.cancel));
  options.cancel = heard.cancel;
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_generate(model, &message, 1, &options, &reply));
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_generate(model, &message, 1, &options, &reply)); /* stays set */
  CHECK(heard.n_calls == 1);
  lectern_cancel_free(heard.cancel);
}

static int count_steps(const lectern_step* step, void* user_data) {
  CHECK(strlen(step->kind) > 0 && step->detail != NULL && step->seconds >= 0);
  return ((struct heard*)user_data)->n_calls > 1000;
}

static void a_question_is_answered(lectern_model* model) {
  lectern_collection* collection = two_documents();
  const lectern_answer* answer = NULL;
  struct heard heard = {.n = 0};
  const lectern_message history[] = {{"user", "What grows?"}, {"assistant", "Beans."}};
  lectern_ask_options options = {.struct_size = sizeof options, .level = "1", .helpers = "never",
                                 .max_answer_tokens = 16, .on_text = hear, .on_step = count_steps,
                                 .user_data = &heard};
  CHECK_OK(lectern_ask(model, collection, "When were the beans sown?", &options, &answer));
  CHECK(answer != NULL && strlen(answer->text) == answer->text_bytes && strcmp(answer->level, "1") == 0);
  CHECK(heard.n == answer->text_bytes && memcmp(heard.text, answer->text, heard.n) == 0);
  CHECK(answer->n_passages >= 1 && answer->passages[0]->text_bytes > 0 && answer->n_calls >= 1);
  CHECK(strcmp(answer->question, "When were the beans sown?") == 0 && answer->trace_json[0] != 0);
  for (size_t i = 0; i < answer->n_citations; ++i)
    CHECK(answer->citations[i]->quote_bytes > 0 && answer->citations[i]->passage->text_bytes > 0);
  lectern_answer_free(answer);

  options.history = history;
  options.n_history = 2;
  CHECK_OK(lectern_ask(model, collection, "When were they sown?", &options, &answer));
  lectern_answer_free(answer);
  options.n_history = 0;

  options.level = "9";
  CHECK_REFUSED("level", lectern_ask(model, collection, "Beans?", &options, &answer));
  options.level = NULL;
  options.helpers = "sometimes";
  CHECK_REFUSED("helpers", lectern_ask(model, collection, "Beans?", &options, &answer));
  options.helpers = NULL;
  options.budget_seconds = -1;
  CHECK_REFUSED("budget_seconds", lectern_ask(model, collection, "Beans?", &options, &answer));
  options.budget_seconds = 0;
  options.max_answer_tokens = -1;
  CHECK_REFUSED("max_answer_tokens", lectern_ask(model, collection, "Beans?", &options, &answer));
  options.max_answer_tokens = 16;
  CHECK_REFUSED("", lectern_ask(model, collection, "?!", NULL, &answer));
  lectern_cancel* cancel = NULL;
  CHECK_OK(lectern_cancel_create(&cancel));
  lectern_cancel_set(cancel);
  options.cancel = cancel;
  CHECK_STATUS(LECTERN_CANCELLED, "", lectern_ask(model, collection, "Beans?", &options, &answer));
  CHECK(answer == NULL);
  lectern_cancel_free(cancel);
  lectern_collection_free(collection);
}

struct asking {
  lectern_model* model;
  const lectern_cancel* cancel;
  int status;
};

/* Until it is stopped: one reply may be over before anybody could. */
static void* talk_for_ever(void* user_data) {
  struct asking* asking = user_data;
  const lectern_message message = {"user", "Talk for ever."};
  const lectern_generate_options options = {.struct_size = sizeof options, .max_tokens = 40,
                                            .cancel = asking->cancel};
  do {
    const lectern_reply* reply = NULL;
    asking->status = lectern_generate(asking->model, &message, 1, &options, &reply);
    lectern_reply_free(reply);
  } while (asking->status == LECTERN_OK);
  return NULL;
}

static void another_thread_cancels(lectern_model* model) {
  lectern_cancel* cancel = NULL;
  CHECK_OK(lectern_cancel_create(&cancel));
  struct asking two[2] = {{model, cancel, 0}, {model, cancel, 0}};
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) CHECK(pthread_create(&threads[i], NULL, talk_for_ever, &two[i]) == 0);
  const struct timespec while_they_talk = {0, 50 * 1000 * 1000};
  nanosleep(&while_they_talk, NULL);
  lectern_cancel_set(cancel);
  for (int i = 0; i < 2; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(two[i].status == LECTERN_CANCELLED);
  }
  lectern_cancel_free(cancel);
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: capi_test TINY_MODEL MODEL.gguf EMPTY_FOLDER\n");
    return 2;
  }
  folder = argv[3];
  char cache[4096];
  setenv("XDG_CACHE_HOME", in_folder("cache", cache, sizeof cache), 1);
  setenv("XDG_DATA_HOME", cache, 1);

  versions_are_those_of_the_header();
  every_free_takes_null();
  a_collection_holds_what_was_added();
  texts_are_cut_at_whole_characters();
  a_search_finds_and_highlights();
  searches_are_limited();
  files_are_indexed_and_kept();
  many_threads_use_one_collection();
  models_are_listed();
  models_that_cannot_be_loaded(argv[2]);

  lectern_model* model = NULL;
  const lectern_model_options options = {.struct_size = sizeof options, .threads = 2};
  CHECK_OK(lectern_model_load(argv[1], &options, &model));
  if (model != NULL) {
    CHECK(strcmp(lectern_model_name(model), argv[1]) == 0);
    CHECK(strlen(lectern_model_description(model)) > 0 && lectern_model_context_tokens(model) > 0);
    null_is_refused(model);
    struct_sizes_are_checked(model);
    a_model_generates(model);
    a_reply_can_be_cancelled(model);
    a_question_is_answered(model);
    another_thread_cancels(model);
    lectern_model_free(model);
  }
  printf("%d checks, %d failures\n", n_checks, n_failures);
  return n_failures == 0 ? 0 : 1;
}
