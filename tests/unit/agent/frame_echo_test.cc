#include "agent/frame_echo.h"

#include "tests/support/catch.h"

namespace lectern {
namespace {

FrameEcho museum() {
  SourcePassage passage;
  passage.title = "A day at the museum";
  passage.heading_path = "A day at the museum > First floor > Karl Drais";
  passage.text = "He rode the running machine in 1817.";
  return FrameEcho(merge_neighbours({passage}));
}

}  // namespace

TEST_CASE("breadcrumbs of the passages are recognised piece by piece") {
  const FrameEcho echo = museum();
  CHECK(echo.breadcrumb("A day at the museum > Karl", false) == std::string("A day at the museum > ").size());
  CHECK(echo.breadcrumb("First floor > Karl Drais", false) == std::string("First floor > ").size());
  CHECK(echo.breadcrumb("A day at the mus", false) == std::nullopt);
  CHECK(echo.breadcrumb("A day at the mus", true) == 0u);
  CHECK(echo.breadcrumb("A day at the museum is long", false) == 0u);
  CHECK(echo.breadcrumb("Karl Drais > ", false) == 0u);  // the last heading is what the text is about
}

TEST_CASE("sentences that only point to a passage are recognised") {
  const auto all = [](std::string_view text) { return FrameEcho::pointer(text, true) == text.size(); };
  CHECK(all("This information is found in passage."));
  CHECK(all("The answer is stated in passages [1] and [2]."));
  CHECK(all("This information can be found in the document"));
  CHECK(all("此信息在段落[1]中。"));
  CHECK(FrameEcho::pointer("This information is found in passage [1]. More.", false) == 41u);
  for (const std::string_view text :
       {"This information is not found in the passages.", "The answer is in the passage on steam engines.",
        "The answer is Leeds.", "Leeds is found in passage [1].",
        "答案是利兹，见段落中关于1874年建造的泵房的说明。", "文档中没有此信息。", "答案在段落3：利兹。"})
    CHECK(FrameEcho::pointer(text, true) == 0u);
  CHECK(FrameEcho::pointer("Th", false) == std::nullopt);
  CHECK(FrameEcho::pointer("Th", true) == 0u);
  CHECK(FrameEcho::pointer("This information is found in passage.", false) == std::nullopt);
}

TEST_CASE("asides that only point to a passage are recognised up to the marker") {
  CHECK(FrameEcho::aside("as stated in passage [1]. More", false) ==
        std::string("as stated in passage ").size());
  CHECK(FrameEcho::aside("as mentioned in [2].", true) == std::string("as mentioned in ").size());
  CHECK(FrameEcho::aside("according to the passages.\nNext", false) ==
        std::string("according to the passages").size());
  CHECK(FrameEcho::aside("as stated in passage 1", true) == std::string("as stated in passage 1").size());
  for (const std::string_view unclear :
       {"", "as st", "as stated in pass", "as per passage", "as per passage [", "according to passage 1.",
        "as stated in [1", "as stated in [1]."})
    CHECK(FrameEcho::aside(unclear, false) == std::nullopt);
  for (const std::string_view text :
       {"as stated in the lease.", "according to Ada [1].", "as per passage [a].",
        "as stated in passage 1 of it", "and as stated in passage [1].",
        "according to the documents of 1874.", "as stated in [1], came.", "according to [1] and Ada.",
        "as mentioned in [1] and [2].", "as found in [2]'s list.", "as found in [1874 records].",
        "as stated in [1", "as shown in\nFigure 3", "as per document 12."})
    CHECK(FrameEcho::aside(text, true) == 0u);
}

}  // namespace lectern
