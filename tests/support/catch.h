// The one include for Catch2. Debian ships version 2; the tests keep to what versions 2 and 3 share.
#pragma once

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <cstdio>

// Ends a test that cannot run here; CTest counts it as skipped and shows why.
#define LECTERN_SKIP(reason)                                   \
  do {                                                         \
    std::printf("SKIPPED: %s\n", std::string(reason).c_str()); \
    return;                                                    \
  } while (false)
