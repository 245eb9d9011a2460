#include "agent/several_hops.h"

#include <string>

#include "tests/support/catch.h"

namespace lectern {

TEST_CASE("questions that need one fact before the next") {
  for (const char* question :
       {"Where was the director of Quiet Mill born?", "When did Hugh Vane's mother die?",
        "When did Hugh Vane’s mother die?", "Who is the mother of the performer of song Grey Tide?",
        "Who is the paternal grandfather of Hugh Vane?", "Who is Maud Lister's mother-in-law?",
        "What nationality is the composer of the film Low Water?", "《静磨坊》的导演在哪里出生？",
        "休·韦恩的祖父是谁？"}) {
    CAPTURE(question);
    CHECK(hops_of(question) == Hops::kChain);
  }
}

TEST_CASE("questions that compare two things") {
  for (const char* question :
       {"Who is older, Ada Quill or Tomas Berg?", "Which film came out first, Low Water or Grey Tide?",
        "Are the Osk River and Lenna Bridge in the same country?",
        "Who was born first out of Ada Quill and Tomas Berg?",
        "Do both Ada Quill and Tomas Berg have the same nationality?", "艾达·奎尔和托马斯·伯格谁更年长？",
        "奥斯克河和伦纳桥在同一个国家吗？"}) {
    CAPTURE(question);
    CHECK(hops_of(question) == Hops::kComparison);
  }
}

TEST_CASE("questions that one passage answers") {
  for (const char* question :
       {"", "?", "Who is the director of Quiet Mill?", "Who was Hugh Vane's father?",
        "When was the pump house built?", "What was the first film of Ada Quill?",
        "Which members were both elected and paid?", "Where did the students of the college live?",
        "How many brothers worked at the mill?", "Summarise the film or the book", "《静磨坊》的导演是谁？",
        "谁是休·韦恩的父亲？", "泵房是哪一年建成的？"}) {
    CAPTURE(question);
    CHECK(hops_of(question) == Hops::kOne);
  }
}

TEST_CASE("a long request is no such question") {
  CHECK(hops_of("Where was the director of Quiet Mill born? " + std::string(500, 'x')) == Hops::kOne);
}

}  // namespace lectern
