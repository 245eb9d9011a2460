#include "agent/dates.h"

#include "tests/support/catch.h"

namespace lectern {

TEST_CASE("dates are found in the forms that documents use") {
  CHECK(find_date("He died on 20 March 851 in Rome") == Date{851, 3, 20});
  CHECK(find_date("March 20, 851") == Date{851, 3, 20});
  CHECK(find_date("December 24, 1886") == Date{1886, 12, 24});
  CHECK(find_date("on the 3 of nothing, Sept. 1902") == Date{1902, 9});
  CHECK(find_date("1874-05-04") == Date{1874, 5, 4});
  CHECK(find_date("(1874年5月4日出生)") == Date{1874, 5, 4});
  CHECK(find_date("1902年") == Date{1902});
  CHECK(find_date("公元前399年") == Date{-399});
  CHECK(find_date("399 BC") == Date{-399});
  CHECK(find_date("in the summer of 1930.") == Date{1930});
}

TEST_CASE("what is no date is none") {
  for (const char* text :
       {"", "no date", "in 12 days", "March of the Ten", "99999999999999999999", "May 5", "年月日"})
    CHECK(find_date(text) == std::nullopt);
}

TEST_CASE("the earliest and the latest of several dates") {
  CHECK(ranks_of_dates({"24 December 1886", "15 November 1911"}) == std::vector<int>{-1, 1});
  CHECK(ranks_of_dates({"1911", "4 May 1874", "1902"}) == std::vector<int>{1, -1, 0});
  CHECK(ranks_of_dates({"399 BC", "20 March 851"}) == std::vector<int>{-1, 1});
  CHECK(ranks_of_dates({"1911-11-15", "1911-11-14"}) == std::vector<int>{1, -1});
}

TEST_CASE("nothing is ranked where fewer than two dates differ") {
  CHECK(ranks_of_dates({}).empty());
  CHECK(ranks_of_dates({"1911", "Norway"}) == std::vector<int>{0, 0});
  CHECK(ranks_of_dates({"1911", "in 1911"}) == std::vector<int>{0, 0});
  // June may be before or after whatever was meant in that year.
  CHECK(ranks_of_dates({"1902", "June 1902"}) == std::vector<int>{0, 0});
  CHECK(ranks_of_dates({"June 1902", "12 June 1902"}) == std::vector<int>{0, 0});
  CHECK(ranks_of_dates({"1902", "June 1902", "1911"}) == std::vector<int>{0, 0, 1});
}

}  // namespace lectern
