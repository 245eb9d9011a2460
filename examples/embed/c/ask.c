/* Asks the documents of a folder, and streams the answer with its citations.
 *     make && ./ask ../../notes "When were the runner beans sown?"
 * With --search in front it lists the best passages instead, which needs no model. */
#include <lectern.h>
#include <stdio.h>
#include <string.h>

static int fail(void) {
  fprintf(stderr, "ask: %s\n", lectern_last_error());
  return 1;
}

static int print_text(const char* text, size_t n_bytes, void* unused) {
  (void)unused;
  fwrite(text, 1, n_bytes, stdout);
  return fflush(stdout) == 0 ? 0 : 1; /* nobody reads any more: stop */
}

static int search(const lectern_collection* collection, const char* query) {
  const lectern_hits* hits = NULL;
  if (lectern_search(collection, query, NULL, &hits) != LECTERN_OK) return fail();
  for (size_t i = 0; i < hits->n_hits; ++i) {
    const lectern_passage* passage = hits->hits[i]->passage;
    printf("%6.2f  %s:%d  %s\n", hits->hits[i]->score, passage->path, passage->line_first, passage->heading);
  }
  lectern_hits_free(hits);
  return 0;
}

static int ask(const lectern_collection* collection, const char* question, const char* model_name) {
  lectern_model* model = NULL;
  if (lectern_model_load(model_name, NULL, &model) != LECTERN_OK) return fail();
  const lectern_ask_options options = {.struct_size = sizeof options, .on_text = print_text};
  const lectern_answer* answer = NULL;
  int status = 0;
  if (lectern_ask(model, collection, question, &options, &answer) == LECTERN_OK) {
    printf("\n\n");
    for (size_t i = 0; i < answer->n_citations; ++i) {
      const lectern_citation* citation = answer->citations[i];
      printf("[%d] %s, line %d: \"%s\"\n", citation->number, citation->passage->path,
             citation->passage->line_first, citation->quote);
    }
    lectern_answer_free(answer);
  } else {
    status = fail();
  }
  lectern_model_free(model);
  return status;
}

int main(int argc, char** argv) {
  const int only_search = argc > 1 && strcmp(argv[1], "--search") == 0;
  if (only_search) --argc, ++argv;
  if (argc < 3 || argc > 4) {
    fprintf(stderr, "usage: ask [--search] FOLDER QUESTION [MODEL]\n");
    return 2;
  }
  lectern_collection* collection = NULL;
  if (lectern_collection_open_folder(argv[1], &collection) != LECTERN_OK ||
      lectern_collection_index(collection, NULL, NULL) != LECTERN_OK) {
    lectern_collection_free(collection);
    return fail();
  }
  const int status = only_search ? search(collection, argv[2]) : ask(collection, argv[2], argv[3]);
  lectern_collection_free(collection);
  return status;
}
