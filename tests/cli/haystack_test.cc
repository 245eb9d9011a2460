#include "apps/cli/haystack.h"

#include <algorithm>
#include <cmath>

#include "tests/support/catch.h"

namespace lectern {
namespace {

// Bytes stand for tokens.
int bytes(std::string_view text) {
  return static_cast<int>(text.size());
}

size_t occurrences(std::string_view text, std::string_view part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("a pass key stands once in its text at the depth that is asked for") {
  for (const uint32_t seed : {1u, 2u, 77u}) {
    const Haystack haystack(bytes, 5000, seed);
    REQUIRE(haystack.pass_key().size() == 5);
    for (const double depth : {0.0, 0.25, 0.5, 1.0}) {
      INFO(seed << " " << depth);
      const std::string prompt = haystack.prompt(depth), text = haystack.text(depth);
      CHECK(prompt.size() <= 5000);
      CHECK(prompt.size() > 4850);
      CHECK(occurrences(prompt, haystack.pass_key()) == 1);
      CHECK(std::count_if(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }) == 5);
      const auto at = static_cast<double>(text.find("The pass key is"));
      CHECK(std::abs(at / static_cast<double>(text.size()) - depth) < 0.03);
    }
    CHECK(haystack.text(0).starts_with("The pass key is"));
    CHECK(haystack.text(1).ends_with("Remember it."));
  }
}

TEST_CASE("texts of one seed begin alike up to their needles whatever their length") {
  const Haystack small(bytes, 2000, 3), large(bytes, 8000, 3);
  CHECK(small.pass_key() == large.pass_key());
  const std::string deep = large.prompt(1), shallow = small.prompt(0.5);
  const size_t needle = shallow.find("The pass key is");
  REQUIRE(needle > 500);
  CHECK(deep.substr(0, needle) == shallow.substr(0, needle));
  CHECK(Haystack(bytes, 2000, 4).prompt(0.5) != shallow);
  CHECK(large.place(1) > large.place(0.5));
  CHECK(large.place(0) == 0);
}

TEST_CASE("a reply counts when it gives the pass key and no other number") {
  const Haystack haystack(bytes, 1000, 1);
  const std::string& key = haystack.pass_key();
  CHECK(haystack.is_found(key));
  CHECK(haystack.is_found("The pass key is " + key + "."));
  CHECK(haystack.is_found(key + ", I repeat: " + key));
  CHECK_FALSE(haystack.is_found(""));
  CHECK_FALSE(haystack.is_found("I do not know."));
  CHECK_FALSE(haystack.is_found(key + "0"));
  CHECK_FALSE(haystack.is_found("1" + key));
  CHECK_FALSE(haystack.is_found(key.substr(0, 4)));
  CHECK_FALSE(haystack.is_found("12345 or " + key));
}

}  // namespace lectern
