/* Versions, errors, and arguments that make no sense. */
#include "check.h"

void versions_are_those_of_the_header(void) {
  CHECK(strcmp(lectern_version(), LECTERN_VERSION_STRING) == 0);
  CHECK(lectern_abi_version() == LECTERN_ABI_VERSION);
  CHECK(strcmp(lectern_last_error(), "") == 0); /* nothing has failed yet */
  CHECK(strcmp(lectern_status_name(LECTERN_OK), "ok") == 0);
  for (int status = LECTERN_OK; status <= LECTERN_INTERNAL; ++status)
    CHECK(strcmp(lectern_status_name(status), "unknown") != 0);
  CHECK(strcmp(lectern_status_name(-1), "unknown") == 0);
  CHECK(strcmp(lectern_status_name(LECTERN_INTERNAL + 1), "unknown") == 0);
}

void every_free_takes_null(void) {
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

void null_is_refused(lectern_model* model) {
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
  CHECK_REFUSED("path", lectern_collection_open("", &collection));
  CHECK_REFUSED("out", lectern_collection_open("x", NULL));
  collection = memory;
  CHECK_REFUSED("folder", lectern_collection_open_folder(NULL, &collection));
  CHECK(collection == NULL);
  CHECK_REFUSED("out", lectern_collection_open_folder(".", NULL));
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

void struct_sizes_are_checked(lectern_model* model) {
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
