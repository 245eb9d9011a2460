#include "apps/cli/answer_match.h"

#include "tests/support/catch.h"

namespace lectern {

using Strings = std::vector<std::string>;

TEST_CASE("answers are compared without case, width, punctuation and articles") {
  CHECK(contains_answer("It was The  Great Bear, he said.", {"great bear"}));
  CHECK(contains_answer("１２３ points", {"123"}));
  CHECK(contains_answer("the U.S. Army", {"US Army", "U.S. Army"}));
  CHECK(contains_answer("760 mm (2 ft 6 in) narrow gauge lines", {"760 mm (2 ft 6 in) narrow gauge"}));
  CHECK_FALSE(contains_answer("Great white bear", {"great bear"}));
}

TEST_CASE("Latin answers need word boundaries, Chinese ones do not") {
  CHECK_FALSE(contains_answer("He paid 1308 pounds to Leedsham", {"308", "Leeds"}));
  CHECK(contains_answer("建于1962年的茶园", {"1962年"}));
  CHECK(contains_answer("石桥长48米", {"48"}));
  CHECK(contains_answer("由林秀兰创办。", {"林秀兰"}));
  CHECK_FALSE(contains_answer("由林秀创办", {"林秀兰"}));
}

TEST_CASE("nothing contains an empty answer") {
  CHECK_FALSE(contains_answer("text", {""}));
  CHECK_FALSE(contains_answer("text", {"...", "the"}));
  CHECK_FALSE(contains_answer("", {"x"}));
  CHECK_FALSE(contains_answer("\xff\xfe", {"x"}));
}

TEST_CASE("f1 is the best overlap over the gold answers") {
  CHECK(answer_f1("the great bear", {"great bear"}) == Approx(1.0));
  CHECK(answer_f1("great white bear", {"bear", "great bear"}) == Approx(0.8));
  CHECK(answer_f1("林秀兰", {"林秀"}) == Approx(0.8));
  CHECK(answer_f1("nothing", {"bear"}) == 0);
  CHECK(answer_f1("bear bear bear", {"bear"}) == Approx(0.5));
}

TEST_CASE("markers are no part of an answer") {
  CHECK(without_markers("Built in 1874 [1], by Quill [12]. [x] [") == "Built in 1874 , by Quill . [x] [");
}

}  // namespace lectern
