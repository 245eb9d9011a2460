#include "agent/text_terms.h"

#include <random>

#include "tests/support/catch.h"

namespace lectern {
namespace {

std::vector<std::string> sentences(const std::string& text, size_t max_bytes = 600) {
  std::vector<std::string> out;
  for (const TextRange range : split_sentences(text, max_bytes)) out.emplace_back(range.of(text));
  return out;
}

std::vector<std::string> terms(const std::string& text) {
  std::vector<std::string> out;
  for (const SupportTerm& term : support_terms(text)) out.push_back(term.text);
  return out;
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("sentences end at marks, not at abbreviations, initials or decimals") {
  CHECK(sentences("It cost 3.5 pounds. Dr. Ada B. Quill paid! Did she?") ==
        Strings{"It cost 3.5 pounds.", "Dr. Ada B. Quill paid!", "Did she?"});
  CHECK(sentences("She said \"No.\" Then she left.") == Strings{"She said \"No.\"", "Then she left."});
  CHECK(sentences("石桥长48米。它完工于1788年！真的？是") ==
        Strings{"石桥长48米。", "它完工于1788年！", "真的？", "是"});
  CHECK(sentences("他说：“走吧。”然后走了。") == Strings{"他说：“走吧。”", "然后走了。"});
}

TEST_CASE("a German day of a month ends no sentence") {
  CHECK(sentences("Ich bin ab dem 14. Oktober in Graz. Am 3. März nicht.").size() == 2);
  CHECK(sentences("He was 14. Then he left.").size() == 2);
}

TEST_CASE("a wrapped line goes on, a block begins anew") {
  CHECK(sentences("The pump house\nwas built in 1874.\n\n# Boiler\nIt came\nfrom Leeds") ==
        Strings{"The pump house\nwas built in 1874.", "# Boiler", "It came\nfrom Leeds"});
  CHECK(sentences("1. First item\n2. Second item\n- third") ==
        Strings{"1. First item", "2. Second item", "- third"});
  CHECK(sentences("The ship was broken up in\n1974. Its bell hangs in the hall.") ==
        Strings{"The ship was broken up in\n1974.", "Its bell hangs in the hall."});
  CHECK(sentences("| a | b |\n| 1 | 2 |") == Strings{"| a | b |", "| 1 | 2 |"});
  CHECK(sentences(" \n\n ").empty());
}

TEST_CASE("a long sentence is cut where it may be") {
  const std::string text = "alpha beta gamma, delta epsilon zeta eta theta iota kappa lambda";
  for (const std::string& part : sentences(text, 24)) CHECK(part.size() <= 24);
  CHECK(sentences(text, 24).front() == "alpha beta gamma,");
  const std::string han = "一二三四五六七八九十一二三四五六七八九十";
  for (const std::string& part : sentences(han, 16)) CHECK(part.size() % 3 == 0);
}

TEST_CASE("terms are folded, stemmed and stripped of function words") {
  CHECK(terms("The Engines were surrendered") == Strings{"engin", "surrender"});
  CHECK(terms("Ada's 1,250 boilers") == Strings{"ada", "1250", "boiler"});
  CHECK(terms("two 3.5") == Strings{"2", "3.5"});
  CHECK(terms("青石桥的") == Strings{"青石", "石桥", "桥的"});
  CHECK(terms("1998年建成") == Strings{"1998", "年建", "建成"});
  CHECK(terms("一九九八年建成") == Strings{"1998", "年建", "建成"});
  CHECK(terms("二〇一〇") == Strings{"2010"});
  CHECK(terms("一二") == Strings{"一二"});
  CHECK(terms("ÉCOLE Ωμέγα ДОМ ＡＢＣ") == Strings{"écol", "ωμέγα", "дом", "abc"});
  CHECK(terms("的是了").empty());
}

TEST_CASE("names and numbers are strong") {
  const auto of = support_terms("the engineer Quill in 1874");
  REQUIRE(of.size() == 3);
  CHECK_FALSE(of[0].strong);
  CHECK(of[1].strong);
  CHECK(of[2].strong);
}

TEST_CASE("any bytes are analysed") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 80; ++i)
      text.push_back(static_cast<char>(random() % 4 == 0 ? random() % 256 : 32 + random() % 90));
    size_t end = 0;
    for (const TextRange range : split_sentences(text, 20)) {
      CHECK(range.begin >= end);
      CHECK(range.end > range.begin);
      CHECK(range.end <= text.size());
      end = range.end;
    }
    support_terms(text);
  }
}

TEST_CASE("a blank within Chinese words parts no terms") {
  CHECK(support_terms("最 常见 的课堂纪律") == support_terms("最常见的课堂纪律"));
}

}  // namespace lectern
