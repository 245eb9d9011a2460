// The memory of one result: all that a C struct points to, freed at once.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory_resource>
#include <string_view>
#include <type_traits>

namespace lectern::capi {

class Memory {
 public:
  // `n` of T, all zero.
  template <typename T>
  T* take(size_t n = 1) {
    static_assert(std::is_trivially_destructible_v<T>);
    void* place = resource_.allocate(n * sizeof(T) + 1, alignof(T));
    std::memset(place, 0, n * sizeof(T) + 1);
    return static_cast<T*>(place);
  }

  // A copy that ends with a NUL.
  const char* text(std::string_view text) {
    char* copy = take<char>(text.size() + 1);
    std::memcpy(copy, text.data(), text.size());
    return copy;
  }

 private:
  std::pmr::monotonic_buffer_resource resource_;
};

// What a C caller gets a pointer to: the struct of lectern.h with its memory behind it.
template <typename Struct>
struct Result : Struct {
  Result() : Struct{} {}
  Memory memory;
};

template <typename Struct>
void free_result(const Struct* result) {
  delete static_cast<const Result<Struct>*>(result);
}

}  // namespace lectern::capi
