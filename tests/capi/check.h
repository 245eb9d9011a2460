/* The little that tests in C need. */
#ifndef LECTERN_TESTS_CAPI_CHECK_H
#define LECTERN_TESTS_CAPI_CHECK_H

#include <stdio.h>
#include <string.h>

#include "lectern.h"

extern int n_checks, n_failures;

#define CHECK(condition)                                              \
  do {                                                                \
    ++n_checks;                                                       \
    if (!(condition)) {                                               \
      ++n_failures;                                                   \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      fprintf(stderr, "  last error: %s\n", lectern_last_error());    \
    }                                                                 \
  } while (0)

/* The call returns `wanted`, and its message holds `words`. */
#define CHECK_STATUS(wanted, words, call)                                                            \
  do {                                                                                               \
    const int got = (call);                                                                          \
    ++n_checks;                                                                                      \
    if (got != (wanted) || strstr(lectern_last_error(), (words)) == NULL) {                          \
      ++n_failures;                                                                                  \
      fprintf(stderr, "%s:%d: %s is %s: %s\n  wanted: %s, with '%s'\n", __FILE__, __LINE__, #call,   \
              lectern_status_name(got), lectern_last_error(), lectern_status_name(wanted), (words)); \
    }                                                                                                \
  } while (0)

#define CHECK_OK(call) CHECK((call) == LECTERN_OK)
#define CHECK_REFUSED(words, call) CHECK_STATUS(LECTERN_INVALID_ARGUMENT, words, call)

/* What the tests share (capi_test.c). */
const char* in_folder(const char* name, char* place, size_t n); /* of the empty folder */
void write_file(const char* path, const char* bytes, size_t n);
lectern_collection* two_documents(void); /* garden.md and bells.txt */
extern const char* const kGarden;
extern const char* const kBells;

/* The tests, in the order of main(). */
void versions_are_those_of_the_header(void);
void every_free_takes_null(void);
void null_is_refused(lectern_model* model);
void struct_sizes_are_checked(lectern_model* model);
void a_collection_holds_what_was_added(void);
void texts_are_cut_at_whole_characters(void);
void a_search_finds_and_highlights(void);
void searches_are_limited(void);
void files_are_indexed_and_kept(void);
void many_threads_use_one_collection(void);
void models_are_listed(void);
void models_that_cannot_be_loaded(const char* good);
void a_model_generates(lectern_model* model);
void a_reply_can_be_cancelled(lectern_model* model);
void a_question_is_answered(lectern_model* model);
void a_question_can_be_stopped(lectern_model* model);
void another_thread_cancels(lectern_model* model);

#endif
