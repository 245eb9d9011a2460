#include "base/error.h"
#include "retrieval/extract.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {
Document markdown(const std::string& text) {
  return extract_text(text, "markdown", "notes/garden plan.md", {});
}
using Names = std::vector<std::string>;
}  // namespace

TEST_CASE("markdown: the text is the file and the title its first heading or its name") {
  const std::string text = "# The *garden* [plan](plan.md)\r\n\r\nBody\n";
  const Document document = markdown(text);
  CHECK(document.text == text);
  CHECK(document.format == "markdown");
  CHECK(document.title == "The garden plan");
  CHECK(markdown("just words\n").title == "garden plan");
  CHECK(markdown("").title == "garden plan");
}

TEST_CASE("markdown: front matter gives title, aliases and tags") {
  const Document inline_lists = markdown(
      "---\ntitle: \"Beans: a diary\"\naliases: [Runner beans, '菜豆']\ntags: garden, #food/green\nother: "
      "x\n---\n# Not the title #later\n");
  CHECK(inline_lists.title == "Beans: a diary");
  CHECK(inline_lists.aliases == Names{"Runner beans", "菜豆"});
  CHECK(inline_lists.tags == Names{"garden", "food/green", "later"});
  REQUIRE(inline_lists.headings.size() == 1);

  const Document block_lists =
      markdown("---\naliases:\n  - One\n  - Two\ntags:\n- a\n- b\n---\nText #a and #c\n");
  CHECK(block_lists.aliases == Names{"One", "Two"});
  CHECK(block_lists.tags == Names{"a", "b", "c"});

  // A thematic break at the top, and a front matter that never ends.
  CHECK(markdown("---\ntitle: no\n\ntext\n").title == "garden plan");
  CHECK(markdown("text\n---\ntitle: no\n---\n").title != "no");
}

TEST_CASE("markdown: headings in both styles, with their levels and offsets") {
  const std::string text =
      "Main\n====\n\nintro\n\n## Two ##\n\nSub\n---\n\n#hashtag\n####### seven\n  ### Indented\n\n- "
      "item\n---\ntwo lines\nof text\n---\n";
  const Document document = markdown(text);
  REQUIRE(document.headings.size() == 4);
  CHECK(document.headings[0].text == "Main");
  CHECK(document.headings[0].level == 1);
  CHECK(document.headings[0].offset == 0);
  CHECK(document.headings[1].text == "Two");
  CHECK(document.headings[1].level == 2);
  CHECK(text.substr(document.headings[1].offset, 6) == "## Two");
  CHECK(document.headings[2].text == "Sub");
  CHECK(document.headings[2].level == 2);
  CHECK(document.headings[3].text == "Indented");
  CHECK(text.substr(document.headings[3].offset, 3) == "###");
}

TEST_CASE("markdown: nothing inside a code fence is a heading, tag or link") {
  const std::string text = "# A\n\n```sh\n# comment #no [[none]]\n~~~\n```\n\n~~~~\n# b\n~~~\n~~~~\n# C\n";
  const Document document = markdown(text);
  REQUIRE(document.headings.size() == 2);
  CHECK(document.headings[1].text == "C");
  CHECK(document.tags.empty());
  CHECK(document.links.empty());
  REQUIRE(document.keep_whole.size() == 2);
  CHECK(text.substr(document.keep_whole[0].begin, 5) == "```sh");
  CHECK(document.keep_whole[1].end == text.find("# C"));
  // A fence that never closes ends with the text.
  CHECK(markdown("```\n# x\n").headings.empty());
  CHECK(markdown("```\n# x\n").keep_whole.size() == 1);
}

TEST_CASE("markdown: links to other notes are listed once") {
  const Document document = markdown(
      "See [[Fifth Symphony]] and [[Bicycles#History|the bicycle]], ![[map.png]], [the "
      "plan](sub/plan%20b.md#top \"Title\"),\n"
      "[site](https://example.org/a.md), [mail](mailto:a@example.org), [top](#top), [root](/etc/x), "
      "`[[code]]`, [[Fifth Symphony]],\n"
      "[angle](<a b.md>), [[open, [[Inner]] and ](\n");
  CHECK(document.links == Names{"Fifth Symphony", "Bicycles", "map.png", "sub/plan b.md", "a b.md", "Inner"});
}

TEST_CASE("markdown: table rows stay whole, the head with its first row") {
  const std::string text = "| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |\n";
  const Document document = markdown(text);
  REQUIRE(document.keep_whole.size() == 2);
  CHECK(document.keep_whole[0].begin == 0);
  CHECK(document.keep_whole[0].end == text.find("| 3"));
  CHECK(document.keep_whole[1].end == text.size());
}

TEST_CASE("markdown: tags are words after a #") {
  CHECK(markdown("a #tag, #植物/豆 #12 #a-b_c x#no # no\n").tags == Names{"tag", "植物/豆", "a-b_c"});
}

TEST_CASE("markdown: hostile lines take no more than linear time") {
  // Seconds each if any of these were quadratic.
  const size_t n = 500'000;
  for (const std::string piece : {"[[", "](", "#a ", "`", "|", "# ](", "---\n", "```\n", "[", "\\", "* "}) {
    std::string text;
    while (text.size() < n) text += piece;
    CHECK(markdown(text).text.size() == text.size());
    CHECK(markdown("# " + text).headings.size() >= 1);
  }
}

TEST_CASE("code: definitions are headings, comments belong to what they describe") {
  const std::string text =
      "import os\n\n# Waters a bed.\n# Twice.\ndef water(bed):\n    for x in bed:\n        pass\n\nclass "
      "Garden:\n    def plant(self):\n        pass\n";
  const Document document = extract_text(text, "code", "src/garden.py", {});
  CHECK(document.title == "garden");
  REQUIRE(document.headings.size() == 3);
  CHECK(document.headings[0].text == "def water(bed)");
  CHECK(text.substr(document.headings[0].offset, 8) == "# Waters");
  CHECK(document.headings[1].text == "class Garden");
  CHECK(document.headings[2].level == 2);

  const Document cpp = extract_text(
      "int helper(int);\nstatic int helper(int x) {\n  if (x) {\n  }\n  return call(x);\n}\nstruct Bed "
      "{\n};\nint y = f(2) + 1;\n",
      "code", "a.cc", {});
  REQUIRE(cpp.headings.size() == 2);
  CHECK(cpp.headings[0].text == "static int helper(int x)");
  CHECK(cpp.headings[1].text == "struct Bed");
}
