#include "apps/cli/output.h"

#include "apps/cli/progress_bar.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::cli;

TEST_CASE("control characters of documents and names never reach the terminal") {
  CHECK(printable("a\nb\tc") == "a\\nb\\tc");
  CHECK(printable("a\nb\tc", true) == "a\nb\tc");
  CHECK(printable("\x1b[31mred\x07") == "\u241b[31mred\u2407");
  CHECK(printable("over\rwritten", true) == "overwritten");
  CHECK(printable("\x7f") == "\u2421");
  CHECK(printable("\u202egnp.exe") == "\ufffdgnp.exe");
  CHECK(printable("\u009b0m") == "\ufffd0m");
  CHECK(printable("\xff\xfe") == "\ufffd\ufffd");
  CHECK(printable("电池 Straße 🚲") == "电池 Straße 🚲");
}

TEST_CASE("progress can be told where nothing is drawn") {
  Output(/*json=*/false, /*quiet=*/true).progress()({.stage = "reading"});  // would throw if it were empty
}

TEST_CASE("sizes and times are short") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(999) == "999 B");
  CHECK(format_bytes(1'500) == "1.5 KB");
  CHECK(format_bytes(491'400'064) == "491 MB");
  CHECK(format_bytes(1'117'320'768) == "1.1 GB");
  CHECK(format_seconds(0.84) == "0.8 s");
  CHECK(format_seconds(125) == "2:05 min");
  CHECK(format_seconds(3700) == "1:01 h");
  CHECK(plural(1, "file") == "1 file");
  CHECK(plural(2, "file") == "2 files");
}

TEST_CASE("a progress line shows how far and how long and fits the terminal") {
  const Progress half{
      .stage = "downloading", .item = "m.gguf", .bytes_done = 500'000'000, .bytes_total = 1'000'000'000};
  const std::string line = progress_line(half, 0, 0, 10, 200);
  CHECK_THAT(line, Catch::Contains("50 %") && Catch::Contains("50.0 MB/s") &&
                       Catch::Contains("10.0 s left") && Catch::Contains("m.gguf"));
  // A download that goes on at 400 MB has brought 100 MB in these 10 seconds.
  CHECK_THAT(progress_line(half, 0, 400'000'000, 10, 200),
             Catch::Contains("10.0 MB/s") && Catch::Contains("50.0 s left"));
  CHECK_THAT(progress_line(half, 0, 0, 0.1, 200), !Catch::Contains("left"));
  CHECK(progress_line(half, 0, 0, 10, 20).size() == 19);

  // East Asian characters take two columns each, combining marks none.
  const Progress wide{.stage = "读", .item = "电池电池电池电池"};
  CHECK(progress_line(wide, 0, 0, 0, 11) == "读  电池电");
  CHECK(progress_line({.stage = "e\u0301e\u0301e\u0301"}, 0, 0, 0, 3) == "e\u0301e\u0301");

  const Progress files{.stage = "reading", .item = "a\nb.md", .items_done = 3, .items_total = 12};
  CHECK_THAT(progress_line(files, 0, 0, 2, 200), Catch::Contains("25 %") && Catch::Contains("3/12") &&
                                                     Catch::Contains("6.0 s left") &&
                                                     Catch::Contains("a\\nb.md"));
  CHECK_THAT(progress_line({.stage = "counting", .items_done = 7}, 0, 0, 2, 200), Catch::Contains("7"));

  // Half of the tokens are a quarter of the work; a tenth of it was done before these 10 seconds.
  const Progress work{.stage = "reading", .items_done = 500, .items_total = 1000, .work_done = 0.25};
  CHECK_THAT(progress_line(work, 0, 0, 10, 200, 0.1),
             Catch::Contains("25 %") && Catch::Contains("500/1000") && Catch::Contains("50.0 s left"));
}
