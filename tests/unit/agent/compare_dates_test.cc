#include "agent/compare_dates.h"

#include "tests/support/catch.h"

namespace lectern {
namespace {

const DatedFact kQuill = {"When was Ada Quill born?", {1874, 5, 4}};
const DatedFact kBerg = {"When was Tomas Berg born?", {1902}};

}  // namespace

TEST_CASE("dates decide which of two things a question asks for") {
  CHECK(compare_dates("Who is older, Ada Quill or Tomas Berg?", kQuill, kBerg) == "Ada Quill");
  CHECK(compare_dates("Who is older, Tomas Berg or Ada Quill?", kQuill, kBerg) == "Ada Quill");
  CHECK(compare_dates("Who is younger, Ada Quill or Tomas Berg?", kBerg, kQuill) == "Tomas Berg");
  CHECK(compare_dates("Who was born first, Ada Quill or Tomas Berg?", kBerg, kQuill) == "Ada Quill");
  CHECK(compare_dates("Who was born later out of the two, Ada Quill or Tomas Berg?", kQuill, kBerg) ==
        "Tomas Berg");
}

TEST_CASE("a chain of facts belongs to the thing that it began with") {
  const DatedFact harbour = {"Who directed the film The Red Harbour? When was Ada Quill born?", {1874}};
  const DatedFact mill = {"Who directed the film Quiet Mill? When was Tomas Berg born?", {1902}};
  CHECK(compare_dates("Which film has the director who was born last, The Red Harbour or Quiet Mill?",
                      harbour, mill) == "Quiet Mill");
}

TEST_CASE("before or after is told by what the question names first") {
  const DatedFact bicycle = {"When was the bicycle invented?", {1817}};
  const DatedFact fifth = {"When was Beethoven's Fifth Symphony premiered?", {1808, 12, 22}};
  constexpr const char* kAsked =
      "Was the bicycle invented before or after the premiere of Beethoven's Fifth Symphony?";
  constexpr const char* kAfter = "the bicycle invented after the premiere of Beethoven's Fifth Symphony";
  CHECK(compare_dates(kAsked, bicycle, fifth) == kAfter);
  CHECK(compare_dates(kAsked, fifth, bicycle) == kAfter);
  CHECK(compare_dates("Was Beethoven's Fifth Symphony premiered before or after the bicycle was invented?",
                      bicycle,
                      fifth) == "Beethoven's Fifth Symphony premiered before the bicycle was invented");
}

TEST_CASE("Chinese comparisons") {
  const DatedFact lin = {"林静是什么时候出生的？", {1931}};
  const DatedFact liang = {"梁维之是什么时候出生的？", {1904}};
  CHECK(compare_dates("林静和梁维之谁更年轻？", lin, liang) == "林静");
  CHECK(compare_dates("林静和梁维之谁更年长？", lin, liang) == "梁维之");
  CHECK(compare_dates("梁维之与林静，谁出生更早？", lin, liang) == "梁维之");
}

TEST_CASE("what the wording or the dates do not decide is left open") {
  CHECK(compare_dates("Who is older, Ada Quill or Tomas Berg?", kQuill, {kBerg.about, kQuill.date}).empty());
  CHECK(compare_dates("Who is older, Ada Quill or Tomas Berg?", kQuill, {kBerg.about, {1874}}).empty());
  CHECK(compare_dates("Who lived longer, Ada Quill or Tomas Berg?", kQuill, kBerg).empty());
  CHECK(compare_dates("Are Ada Quill and Tomas Berg of the same age?", kQuill, kBerg).empty());
  CHECK(compare_dates("Who is older?", kQuill, kBerg).empty());
  CHECK(compare_dates("Who is older, Ines Marr or Hugh Vane?", kQuill, kBerg).empty());
  CHECK(compare_dates("", kQuill, kBerg).empty());
}

}  // namespace lectern
