// Conditions on the attributes of files, as OpenAI writes them: {"type": "eq", "key", "value"} and so on,
// joined by and, or. Immutable after construction, safe from any thread.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace lectern::server {

class AttributeFilter {
 public:
  static constexpr int kMaxDepth = 8;
  static constexpr size_t kMaxConditions = 128;
  static constexpr size_t kMaxValues = 256;  // of in and nin

  // Throws HttpError(400) that names "filters" and what is wrong in it.
  explicit AttributeFilter(const Json& json);

  // A file without the attribute matches ne and nin only; values of different kinds are never equal, and only
  // numbers are larger or smaller, and texts by their bytes.
  bool matches(const Json& attributes) const;

 private:
  struct Node {
    std::string type;  // and, or, or a comparison
    std::string key;
    Json value;
    std::vector<size_t> children;  // indices into nodes_
  };

  size_t read(const Json& json, int depth);
  bool matches(const Node& node, const Json& attributes) const;

  std::vector<Node> nodes_;
  size_t root_ = 0;
};

// {"key": string, number or boolean}, at most 16, keys of at most 64 bytes, texts of at most 512.
// `only_texts`: metadata. Throws HttpError(400) naming `field`. Null gives {}.
Json read_attributes(const Json* json, const char* field, bool only_texts = false);

}  // namespace lectern::server
