#include "agent/loop_gate.h"

#include "tests/support/catch.h"

namespace lectern {
namespace {

struct Passed {
  std::string text;
  bool looping = false;
};

Passed pass(const std::string& reply, bool truncated = false, size_t piece = 1) {
  LoopGate gate;
  std::string text;
  for (size_t i = 0; i < reply.size() && !gate.looping(); i += piece)
    text += gate.feed(std::string_view(reply).substr(i, piece));
  return {text + gate.finish(truncated), gate.looping()};
}

std::string times(const std::string& text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("text that does not go round passes as it is and at once") {
  for (const std::string text : {"", "a", "Ada Quill built it in 1874, 3.5 m high [1].\n\n- Leeds\n- Leeds\n",
                                 "Yes. Yes. Yes, yes.", "1. one\n2. two\n3. three", "[link](x) [a, b] ["}) {
    for (const size_t piece : {1, 3, 100}) CHECK(pass(text, false, piece).text == text);
    CHECK_FALSE(pass(text).looping);
  }
  LoopGate gate;
  CHECK(gate.feed("Ada Quill bu") == "Ada Quill bu");
  CHECK(gate.feed("ilt it. ") == "ilt it.");
  CHECK(gate.feed("Ada") == "");  // said before: it may go round
  CHECK(gate.feed(" Orme") == " Ada Orme");
}

TEST_CASE("a loop is ended, and nothing of its second round is passed") {
  const std::string sentence = "The boiler of the pump house came from Leeds in 1874 [1].";
  const Passed one = pass("Ada built it. " + times(sentence + " ", 50));
  CHECK(one.looping);
  CHECK(one.text == "Ada built it. " + sentence);
  const Passed cycle = pass("The towns are " + times("Paris, London, Szeged, ", 60));
  CHECK(cycle.looping);
  CHECK(cycle.text ==
        "The towns are Paris, London, Szeged, Paris,");  // "The towns are Paris" was another clause
  std::string list;
  for (int i = 0; i < 60; ++i)
    list += std::to_string(i + 1) + (i % 2 == 0 ? ". The old boiler\n" : ". The new boiler\n");
  CHECK(pass(list).text == "1. The old boiler\n2. The new boiler\n");
  const Passed chinese = pass(times("锅炉来自利兹市的老工厂。", 40), false, 3);
  CHECK(chinese.looping);
  CHECK(chinese.text == "锅炉来自利兹市的老工厂。");
}

TEST_CASE("a reply cut at its limit loses what it had begun to repeat") {
  const std::string said = "Ada built it.\nIt drained the meadows.\n";
  CHECK(pass(said + said + "Ada bu", true).text == "Ada built it.\nIt drained the meadows.");
  CHECK(pass(said + said + "Ada bu", false).text == said + said + "Ada bu");
  CHECK(pass(said + "Ada bu", true).text == said + "Ada bu");
}

TEST_CASE("code may repeat its lines") {
  const std::string code = "```\n" + times("if (done) { return left + right; }\n", 20) + "```\n";
  CHECK_FALSE(pass(code).looping);
  CHECK(pass(code).text == code);
}

}  // namespace lectern
