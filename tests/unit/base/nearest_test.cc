#include "base/nearest.h"

#include <vector>

#include "tests/support/catch.h"

using namespace lectern;

TEST_CASE("the nearest word is the one that was meant or none") {
  const std::vector<std::string> words = {"search", "status", "read", "rm", "--limit", "--json"};
  CHECK(nearest("serch", words) == "search");
  CHECK(nearest("saerch", words) == "search");
  CHECK(nearest("--jsno", words) == "--json");
  CHECK(nearest("--limits", words) == "--limit");
  CHECK(nearest("mr", words) == "rm");
  CHECK(nearest("bogus", words).empty());
  CHECK(nearest("", words).empty());
  CHECK(nearest("search", {}).empty());
  CHECK(nearest(std::string(100'000, 's'), words).empty());
}
