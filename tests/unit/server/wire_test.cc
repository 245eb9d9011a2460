#include "apps/server/wire.h"

#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::server;

namespace {

std::vector<std::string> marked(const std::string& query, const std::string& text) {
  std::vector<std::string> words;
  for (const auto& [begin, end] : highlights(query, text, {"en", "zh"}))
    words.push_back(text.substr(begin, end - begin));
  return words;
}

}  // namespace

TEST_CASE("the words of a query are marked in any of their forms") {
  CHECK(marked("runner bean", "The RUNNER beans were sown; beans again.") ==
        std::vector<std::string>{"RUNNER", "beans", "beans"});
  CHECK(marked("碧螺春", "买了碧螺春茶") == std::vector<std::string>{"碧螺春"});
  CHECK(marked("nothing", "something else").empty());
  CHECK(marked("x", "").empty());
}

TEST_CASE("byte ranges grow to whole characters and stay within the text") {
  const std::string text = "a\xE8\x8C\xB6z";  // a, a Chinese character of three bytes, z
  using Range = std::pair<uint64_t, uint64_t>;
  CHECK(whole_characters(text, 0, 100) == Range{0, 5});
  CHECK(whole_characters(text, 2, 3) == Range{1, 4});
  CHECK(whole_characters(text, 1, 4) == Range{1, 4});
  CHECK(whole_characters(text, 9, 12) == Range{5, 5});
  CHECK(whole_characters("", 0, 10) == Range{0, 0});
}
