/* The little that tests in C need. */
#ifndef LECTERN_TESTS_CAPI_CHECK_H
#define LECTERN_TESTS_CAPI_CHECK_H

#include <stdio.h>
#include <string.h>

#include "lectern.h"

static int n_checks, n_failures;

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

#endif
