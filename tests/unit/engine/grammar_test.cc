#include "engine/grammar.h"

#include <map>
#include <random>

#include "base/error.h"
#include "engine/grammar_schema.h"
#include "tests/support/catch.h"
#include "tests/support/grammar_walk.h"
#include "tests/support/tokenizer_lines.h"

using namespace lectern;

namespace {

const Tokenizer& small_tokenizer() {
  static const Tokenizer tokenizer(small_vocabulary(), "small");
  return tokenizer;
}

Json json(const std::string& text) {
  return parse_json(text, "test");
}

}  // namespace

TEST_CASE("grammar: random walks under the mask give JSON that fits the schema") {
  std::mt19937 random(1);
  for (const char* schema : kWalkSchemas) {
    const auto grammar = Grammar::from_json_schema(json(schema));
    for (int walk = 0; walk < 40; ++walk) {
      const std::string text = random_sentence(grammar, small_tokenizer(), random);
      INFO(text);
      CHECK(fits(parse_json(text, "walk"), json(schema)));
    }
  }
}

TEST_CASE("grammar: the mask holds exactly the tokens that can follow") {
  const auto automaton = compile_json_schema(json(kWalkSchemas[0]));
  const Tokenizer& tokenizer = small_tokenizer();
  std::mt19937 random(2);
  GrammarState state(Grammar::from_json_schema(json(kWalkSchemas[0])), tokenizer);
  auto position = automaton.start();
  for (int step = 0; step < 400 && !state.finished(); ++step) {
    const auto mask = state.mask();
    REQUIRE(mask.size() == static_cast<size_t>(tokenizer.size() + 63) / 64);
    for (int32_t id = 0; id < tokenizer.size(); ++id) {
      auto next = position;
      bool can_follow = !tokenizer.is_control(id) &&
                        !tokenizer.has_control_token(tokenizer.token_bytes(id)) &&
                        tokenizer.token_bytes(id).size() <= TokenTrie::kMaxTokenBytes;
      for (const char byte : tokenizer.token_bytes(id))
        can_follow = can_follow && automaton.step(next, static_cast<uint8_t>(byte));
      REQUIRE(is_set(mask, id) == can_follow);
    }
    const int32_t token = random_token(mask, random);
    state.accept(token);
    for (const char byte : tokenizer.token_bytes(token)) automaton.step(position, static_cast<uint8_t>(byte));
  }
}

TEST_CASE("grammar: a choice is one of its options, and knows when it is complete") {
  const std::string options[] = {"yes", "no", "not in these documents", "不知道"};
  const auto grammar = Grammar::choice(options);
  const Tokenizer& tokenizer = small_tokenizer();
  std::mt19937 random(3);
  std::map<std::string, int> seen;
  for (int walk = 0; walk < 100; ++walk) ++seen[random_sentence(grammar, tokenizer, random)];
  CHECK(seen.size() == 4);
  for (const std::string& option : options) CHECK(seen[option] > 0);

  GrammarState state(grammar, tokenizer);
  const auto accept = [&](const std::string& text) {
    for (const int32_t id : tokenizer.encode(text)) state.accept(id);
  };
  CHECK_FALSE(state.complete());
  accept("no");
  CHECK(state.complete());
  CHECK_FALSE(state.finished());  // "not" could follow
  accept("t in these documents");
  CHECK(state.complete());
  CHECK(state.finished());
  for (const uint64_t word : state.mask()) CHECK(word == 0);
}

TEST_CASE("grammar: a number at the top is complete while more digits can come") {
  GrammarState state(Grammar::from_json_schema(json(R"({"type":"integer"})")), small_tokenizer());
  for (int i = 0; i < 15; ++i) {
    CHECK(state.complete() == (i > 0));
    CHECK_FALSE(state.finished());
    state.accept(small_tokenizer().encode("7").front());
  }
  CHECK(state.finished());
}

TEST_CASE("grammar: bad choices and tokens that may not follow") {
  CHECK_THROWS_AS(Grammar::choice({}), Error);
  CHECK_THROWS_AS(Grammar::choice(std::vector<std::string>{"a", ""}), Error);
  CHECK_THROWS_AS(Grammar::choice(std::vector<std::string>{"\xff"}), Error);
  GrammarState state(Grammar::choice(std::vector<std::string>{"a"}), small_tokenizer());
  CHECK_THROWS_AS(state.accept(small_tokenizer().control_token("<|im_end|>")), std::logic_error);
  CHECK_THROWS_AS(state.accept(-1), std::logic_error);
  CHECK_THROWS_AS(state.accept(small_tokenizer().encode("b").front()), std::logic_error);
}

TEST_CASE("grammar: positions that differ only out of reach share their masks") {
  const auto automaton = compile_json_schema(json(R"({"type":"string","maxLength":500})"));
  const auto vocabulary = small_tokenizer().grammar_vocabulary();
  auto first = automaton.start();
  CHECK(automaton.step(first, '"'));
  auto later = first;
  for (int i = 0; i < 300; ++i) CHECK(automaton.step(later, 'x'));
  CHECK(!(first == later));
  CHECK(automaton.shared(first, *vocabulary) == automaton.shared(later, *vocabulary));
  for (int i = 0; i < 190; ++i) CHECK(automaton.step(later, 'x'));
  CHECK(!(automaton.shared(first, *vocabulary) == automaton.shared(later, *vocabulary)));
}

TEST_CASE("grammar: any JSON object") {
  GrammarAutomaton automaton;
  automaton.add_any_object();
  const auto takes = [&](const std::string& text) {
    auto position = automaton.start();
    for (const char c : text)
      if (!automaton.step(position, static_cast<uint8_t>(c))) return false;
    return automaton.complete(position) && automaton.finished(position);
  };
  for (const char* good : {"{}", R"({"a": 1})", R"({"a": -0.5, "b": [1, 20, "x"], "c": {"d": {}, "e": []}})",
                           R"({"茶": [true, false, null], "q\"": "\n"})", R"({"a": [[{"b": [{"c": 1}]}]]})"})
    CHECK(takes(good));
  for (const char* bad :
       {"", "[]", "{", "1", R"({"a"})", R"({"a": })", R"({"a":1})", R"({"a": 1,"b": 2})", R"({"a": 1, })",
        R"({"a": 01})", R"({"a": 1]})", R"({"a": [1})", R"({"a": [1, ]})", R"({1: 2})", R"({"a": tru})",
        R"({"a": truefalse})", R"({"a": 1.})", R"({} )", R"({"a": [[{"b": [{"c": [1]}]}]]})"})
    CHECK_FALSE(takes(bad));
  const auto members = [](int n) {
    std::string text = "{";
    for (int i = 0; i < n; ++i) text += (i > 0 ? ", \"" : "\"") + std::to_string(i) + "\": 0";
    return text + "}";
  };
  CHECK(takes(members(65)));  // as many commas as a level has room for
  CHECK_FALSE(takes(members(66)));
  CHECK(takes("{\"" + std::string(64, 'k') + "\": \"" + std::string(1024, 'x') + "\"}"));
  CHECK_FALSE(takes("{\"" + std::string(65, 'k') + "\": 0}"));
  CHECK_FALSE(takes("{\"k\": \"" + std::string(1025, 'x') + "\"}"));
}

TEST_CASE("grammar: random walks to any JSON object end in one") {
  const auto grammar = Grammar::any_json_object();
  const Tokenizer& tokenizer = small_tokenizer();
  GrammarAutomaton automaton;
  automaton.add_any_object();
  std::mt19937 random(4);
  for (int walk = 0; walk < 10; ++walk) {
    GrammarState state(grammar, tokenizer);
    auto position = automaton.start();
    std::string text;
    for (int step = 0; !state.finished(); ++step) {
      const auto mask = state.mask();
      if (step % 50 == 0)
        for (int32_t id = 0; id < tokenizer.size(); ++id) {
          auto next = position;
          bool can_follow = !tokenizer.is_control(id) &&
                            !tokenizer.has_control_token(tokenizer.token_bytes(id)) &&
                            tokenizer.token_bytes(id).size() <= TokenTrie::kMaxTokenBytes;
          for (const char c : tokenizer.token_bytes(id))
            can_follow = can_follow && automaton.step(next, static_cast<uint8_t>(c));
          REQUIRE(is_set(mask, id) == can_follow);
        }
      const int32_t token = random_token(mask, random);
      REQUIRE(token >= 0);
      state.accept(token);
      for (const char c : tokenizer.token_bytes(token))
        REQUIRE(automaton.step(position, static_cast<uint8_t>(c)));
      text += tokenizer.token_bytes(token);
    }
    CHECK(parse_json(text, "walk").is_object());
  }
}
