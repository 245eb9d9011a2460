// What C callers pass in, checked: each function throws Error(kInvalidArgument) that names the argument.
#pragma once

#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "include/lectern.h"

namespace lectern::capi {

[[noreturn]] void refuse(const std::string& what);

void require(const void* argument, const char* name);
std::string required_text(const char* text, const char* name);
// Elements that are a pointer and a count.
void require_list(const void* first, size_t n, const char* name);
int number_or(int value, int otherwise, int least, int most, const char* name);

// `words` names what each word stands for; NULL is the first one.
template <typename Value>
Value word(const char* text, std::initializer_list<std::pair<std::string_view, Value>> words,
           const char* name) {
  if (text == nullptr) return words.begin()->second;
  std::string known;
  for (const auto& [spelling, value] : words) {
    if (spelling == text) return value;
    known += (known.empty() ? "" : ", ") + std::string(spelling);
  }
  refuse(std::string(name) + ": '" + text + "' is none of " + known);
}

// Throws unless `n_bytes` is a size that `name` ever had, or a later version's whose new fields are 0.
void check_struct_size(const void* options, size_t n_bytes, size_t first_version, size_t this_version,
                       const char* name);

// A struct of options as this version knows it: fields that the caller's version did not have are 0.
// `first_version`: one of the sizes below.
template <typename Options>
Options read_options(const Options* options, size_t first_version, const char* name) {
  Options read{};
  if (options == nullptr) return read;
  check_struct_size(options, options->struct_size, first_version, sizeof(Options), name);
  std::memcpy(&read, options, std::min(options->struct_size, sizeof(Options)));
  return read;
}

// Where each struct of options ended in the first release: what its callers pass, whatever was appended
// since.
inline constexpr size_t kFirstPullOptions = offsetof(lectern_pull_options, user_data) + sizeof(void*);
inline constexpr size_t kFirstModelOptions = offsetof(lectern_model_options, user_data) + sizeof(void*);
inline constexpr size_t kFirstIndexOptions = offsetof(lectern_index_options, user_data) + sizeof(void*);
// The four bytes behind follow_names are padding, which callers do not set: a field after it begins at 40.
inline constexpr size_t kFirstSearchOptions = offsetof(lectern_search_options, follow_names) + sizeof(int);
inline constexpr size_t kFirstAskOptions = offsetof(lectern_ask_options, user_data) + sizeof(void*);
inline constexpr size_t kFirstGenerateOptions = offsetof(lectern_generate_options, user_data) + sizeof(void*);

}  // namespace lectern::capi
