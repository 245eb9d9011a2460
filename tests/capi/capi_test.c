/* Every function of lectern.h as a program in C meets it: what it gives, and what it refuses.
 *     capi_test TINY_MODEL MODEL.gguf EMPTY_FOLDER */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>

#include "check.h"

int n_checks, n_failures;

const char* const kGarden =
    "# The garden\n\n## Beans\n\nThe runner beans were sown on 12 May, in two rows.\n\n"
    "## Tomatoes\n\nThe tomatoes ripen in August. \xe7\x95\xaa\xe8\x8c\x84 is their Chinese name.\n";
const char* const kBells = "The great bell of the clock tower weighs 1,240 kilograms.\n";

static const char* folder;

const char* in_folder(const char* name, char* place, size_t n) {
  snprintf(place, n, "%s/%s", folder, name);
  return place;
}

void write_file(const char* path, const char* bytes, size_t n) {
  FILE* file = fopen(path, "wb");
  CHECK(file != NULL);
  if (file == NULL) return;
  CHECK(fwrite(bytes, 1, n, file) == n);
  CHECK(fclose(file) == 0);
}

lectern_collection* two_documents(void) {
  lectern_collection* made = NULL;
  CHECK_OK(lectern_collection_open_memory(&made));
  CHECK_OK(lectern_collection_add(made, "garden.md", kGarden, strlen(kGarden), NULL, NULL));
  CHECK_OK(lectern_collection_add(made, "bells.txt", kBells, strlen(kBells), NULL, NULL));
  return made;
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
    a_question_can_be_stopped(model);
    another_thread_cancels(model);
    lectern_model_free(model);
  }
  printf("%d checks, %d failures\n", n_checks, n_failures);
  return n_failures == 0 ? 0 : 1;
}
