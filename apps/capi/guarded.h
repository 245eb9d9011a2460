// The wall between C++ and C: no exception passes it. Thread-safe.
#pragma once

#include <utility>

#include "apps/capi/arguments.h"

namespace lectern::capi {

// The status that the exception under way stands for; keeps its message for lectern_last_error().
int report_current_exception() noexcept;

template <typename Body>
int guarded(Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return LECTERN_OK;
  } catch (...) {
    return report_current_exception();
  }
}

// The same for what makes something: `*out` is NULL unless it succeeds. `make` returns the pointer. Nothing
// is made, and nothing leaks, when there is no place to put it.
template <typename Out, typename Make>
int guarded_into(Out** out, Make&& make) noexcept {
  if (out != nullptr) *out = nullptr;
  return guarded([&] {
    require(out, "out");
    *out = std::forward<Make>(make)();
  });
}

}  // namespace lectern::capi
