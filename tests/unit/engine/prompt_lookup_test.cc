#include "engine/prompt_lookup.h"

#include <random>
#include <vector>

#include "tests/support/catch.h"

using namespace lectern;

namespace {

using Tokens = std::vector<int32_t>;

Tokens draft(const Tokens& tokens, size_t max_tokens = 100) {
  const auto found = look_up_draft(tokens, max_tokens);
  return {found.begin(), found.end()};
}

}  // namespace

TEST_CASE("a draft is what followed the longest earlier occurrence of the end") {
  CHECK(draft({1, 2, 3, 4, 9, 1, 2}) == Tokens{3, 4, 9, 1, 2});
  CHECK(draft({1, 2, 3, 4, 9, 1, 2}, 2) == Tokens{3, 4});
  CHECK(draft({7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2}, 1) == Tokens{3});  // three tokens before the later two
  CHECK(draft({1, 2, 3, 1, 2, 4, 1, 2}, 1) == Tokens{4});           // the latest of equally long ones
  CHECK(draft({5, 5, 5, 5}) == Tokens{5});
}

TEST_CASE("there is no draft without two tokens that occur earlier") {
  CHECK(draft({}).empty());
  CHECK(draft({1}).empty());
  CHECK(draft({1, 1}).empty());
  CHECK(draft({3, 1, 2, 1}).empty());
  CHECK(draft({1, 2, 1, 2}, 0).empty());
}

TEST_CASE("a draft continues an earlier occurrence of the last two tokens") {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    Tokens tokens(random() % 60);
    for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 6);
    const auto found = look_up_draft(tokens, 5);
    bool occurs = false;
    for (size_t i = 2; i < tokens.size(); ++i)
      occurs |= tokens[i - 2] == tokens[tokens.size() - 2] && tokens[i - 1] == tokens.back();
    REQUIRE(found.empty() != occurs);
    if (found.empty()) continue;
    REQUIRE(found.size() <= 5);
    const auto at = static_cast<size_t>(found.data() - tokens.data());
    REQUIRE(tokens[at - 1] == tokens.back());
    REQUIRE(tokens[at - 2] == tokens[tokens.size() - 2]);
  }
}

TEST_CASE("the length of drafts follows their success") {
  DraftLength length(8);
  const size_t first = length.now();
  length.learn(first, first);
  CHECK(length.now() > first);
  for (int i = 0; i < 20; ++i) length.learn(length.now(), length.now());
  CHECK(length.now() == 8);
  length.learn(8, 0);
  CHECK(length.now() == 2);
  length.learn(2, 2);
  CHECK(length.now() == 4);
  DraftLength none(0);
  CHECK(none.now() == 0);
}
