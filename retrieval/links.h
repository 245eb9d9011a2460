// Names that a document gives to others: targets of links, tags, aliases. Shared by the extractors.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace lectern {

// Keeps each string once, in order; not those too long to be names, and not more than 10,000.
class Listing {
 public:
  explicit Listing(std::vector<std::string>& out) : out_(out), seen_(out.begin(), out.end()) {}
  void add(std::string_view item);

 private:
  std::vector<std::string>& out_;
  std::unordered_set<std::string> seen_;
};

// The file that a relative link leads to, percent-decoded, without "#fragment" and "?query"; "" for web
// addresses, fragments of the same document and absolute paths.
std::string relative_target(std::string_view target);

// "%20" to " "; well-formed UTF-8 whatever the bytes.
std::string percent_decoded(std::string_view text);

}  // namespace lectern
