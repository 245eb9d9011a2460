/* Collections: documents, texts, searching, files, and many threads at one. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

void a_collection_holds_what_was_added(void) {
  lectern_collection* collection = NULL;
  int64_t garden = 0;
  CHECK_OK(lectern_collection_open_memory(&collection));
  CHECK_OK(lectern_collection_add(collection, "notes/garden.md", kGarden, strlen(kGarden), NULL, &garden));
  CHECK_OK(lectern_collection_add(collection, "bells", kBells, strlen(kBells), "text", NULL));
  CHECK_OK(lectern_collection_add(collection, "empty.txt", NULL, 0, NULL, NULL));
  CHECK(garden != 0);
  CHECK_STATUS(LECTERN_UNSUPPORTED, "x.bin",
               lectern_collection_add(collection, "x.bin", "\0\1\2", 3, NULL, NULL));
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

void texts_are_cut_at_whole_characters(void) {
  lectern_collection* collection = NULL;
  const char words[] =
      "a\xe8\x8c\xb6"
      "b"; /* a茶b */
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

void a_search_finds_and_highlights(void) {
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

void searches_are_limited(void) {
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

void files_are_indexed_and_kept(void) {
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
  lectern_index_options options = {.struct_size = sizeof options,
                                   .paths = paths,
                                   .n_paths = 1,
                                   .on_progress = stop_at_once,
                                   .user_data = &n_calls};
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
  CHECK_STATUS(LECTERN_NOT_FOUND, "/no/such/folder",
               lectern_collection_open_folder("/no/such/folder", &collection));
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

static void* index_often(void* collection) {
  char notes[4096];
  const char* paths[] = {in_folder("notes", notes, sizeof notes)};
  const lectern_index_options options = {.struct_size = sizeof options, .paths = paths, .n_paths = 1};
  long failures = 0;
  for (int i = 0; i < 10; ++i)
    if (lectern_collection_index(collection, &options, NULL) != LECTERN_OK) ++failures;
  return (void*)failures;
}

static void* fail_elsewhere(void* nothing) {
  CHECK(strcmp(lectern_last_error(), "") == 0); /* errors belong to their thread */
  CHECK_REFUSED("out", lectern_collection_open_memory(NULL));
  return nothing;
}

void many_threads_use_one_collection(void) {
  lectern_collection* collection = two_documents();
  pthread_t threads[4];
  CHECK(pthread_create(&threads[0], NULL, search_often, collection) == 0);
  CHECK(pthread_create(&threads[1], NULL, search_often, collection) == 0);
  CHECK(pthread_create(&threads[2], NULL, add_often, collection) == 0);
  CHECK(pthread_create(&threads[3], NULL, index_often, collection) == 0);
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
