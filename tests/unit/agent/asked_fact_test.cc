#include "agent/asked_fact.h"

#include "tests/support/catch.h"

namespace lectern {

TEST_CASE("questions for somebody, a time, a place or a number ask for a fact") {
  for (const char* question : {"Who chairs the committee?", "In which year was it built?",
                               "When was the boiler serviced?", "Where does the ferry land?",
                               "How much is the deposit?", "谁发明了蒸汽机？", "会费是多少？", "几点关门"}) {
    CAPTURE(question);
    CHECK(asks_for_a_fact(question, "A note."));
  }
}

TEST_CASE("so do questions about what the text never names") {
  const char* note = "Lena signs the lease on 28 February.";
  CHECK(asks_for_a_fact("What is the capital of Mongolia?", note));
  CHECK_FALSE(asks_for_a_fact("What does Lena want changed?", note));
}

TEST_CASE("what is to be made of the text or said about it is no fact") {
  for (const char* question :
       {"Translate the minutes into Mongolian", "Rewrite the part where Tom speaks",
        "Can you rewrite the part where Tom speaks?", "What is the tone of this letter to Lena?",
        "Who wrote this?", "Who is the author?", "How many words does it have?",
        "What should be said to Lena?", "Is anything unusual?", "What is the boiling point of ethanol?",
        "请翻译成英文", "这段话是谁写的？", "全文有多少字？"}) {
    CAPTURE(question);
    CHECK_FALSE(asks_for_a_fact(question, "A note."));
  }
}

}  // namespace lectern
