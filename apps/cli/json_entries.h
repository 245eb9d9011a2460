// The entries of a JSON file that is a list of objects, checked field by field: an Error names the file, the
// entry and what is wrong with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace lectern {

// Refers to the parsed file: valid inside the body of for_each_entry only.
class JsonEntry {
 public:
  JsonEntry(const Json& json, std::string place);

  const std::string& place() const { return place_; }  // for messages: "FILE: entry 3"
  bool has(const char* key) const { return json_.contains(key); }
  // These throw Error(kCorrupt) when the field is missing or of another type.
  const Json& field(const char* key) const;
  std::string string(const char* key) const;
  std::vector<std::string> strings(const char* key) const;
  [[noreturn]] void fail(const std::string& what) const;

 private:
  const Json& json_;
  std::string place_;
};

// What `body` returns; its Error is said of `place`, unless it is that the work was cancelled.
template <typename Body>
auto said_of(const std::string& place, const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    throw Error(error.code(), place + ": " + error.what());
  }
}

// Throws Error(kCorrupt) for a file that is no list, or an empty one.
void for_each_entry(const std::filesystem::path& path, const std::function<void(const JsonEntry&)>& body);

}  // namespace lectern
