// --budget
#include "apps/cli/answering.h"
#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::cli;

TEST_CASE("budgets in seconds minutes chunks and tokens") {
  CHECK(parse_budget({}).seconds == 0);
  CHECK(parse_budget({"30s"}).seconds == 30);
  CHECK(parse_budget({"1.5min"}).seconds == 90);
  const AskBudget budget = parse_budget({"200chunks", "20000tokens", "0.5s"});
  CHECK(budget.chunks == 200);
  CHECK(budget.tokens == 20000);
  CHECK(budget.seconds == 0.5);
}

TEST_CASE("what is not a budget is named") {
  for (const char* limit :
       {"", "30", "s", "-3s", "0s", "1.5chunks", "99999999999tokens", "30 s", "3hours", "nans", "infs"}) {
    CAPTURE(limit);
    CHECK_THROWS_WITH(parse_budget({limit}), Catch::Contains("is not a budget"));
  }
}
