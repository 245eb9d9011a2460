#include "apps/capi/arguments.h"

#include <algorithm>

namespace lectern::capi {
namespace {

constexpr size_t kMaxStructBytes = 4096;  // more is a struct_size that was never set

}  // namespace

void refuse(const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, what);
}

void require(const void* argument, const char* name) {
  if (argument == nullptr) refuse(std::string("the argument '") + name + "' is NULL");
}

std::string required_text(const char* text, const char* name) {
  require(text, name);
  return text;
}

void require_list(const void* first, size_t n, const char* name) {
  if (n > 0) require(first, name);
}

int number_or(int value, int otherwise, int least, int most, const char* name) {
  if (value == 0) return otherwise;
  if (value < least || value > most)
    refuse(std::string(name) + ": " + std::to_string(value) + " is not between " + std::to_string(least) +
           " and " + std::to_string(most));
  return value;
}

void check_struct_size(const void* options, size_t n_bytes, size_t first_version, size_t this_version,
                       const char* name) {
  if (n_bytes < first_version || n_bytes > kMaxStructBytes)
    refuse(std::string(name) + ": struct_size is " + std::to_string(n_bytes) + ", not sizeof(" + name + ")");
  const auto* bytes = static_cast<const unsigned char*>(options);
  if (n_bytes > this_version &&
      std::any_of(bytes + this_version, bytes + n_bytes, [](unsigned char byte) { return byte != 0; }))
    refuse(std::string(name) + ": sets a field that liblectern " LECTERN_VERSION_STRING
                               " does not know; a later version is needed");
}

}  // namespace lectern::capi
