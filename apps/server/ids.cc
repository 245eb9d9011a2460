#include "apps/server/ids.h"

#include <chrono>
#include <random>

namespace lectern::server {

std::string new_id(std::string_view prefix) {
  thread_local std::random_device random;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string id(prefix);
  for (int word = 0; word < 3; ++word)
    for (auto [value, i] = std::pair{random(), 0}; i < 8; ++i, value >>= 4) id += kDigits[value & 15];
  return id;
}

int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace lectern::server
