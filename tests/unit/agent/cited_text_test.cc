#include "agent/cited_text.h"

#include "tests/support/catch.h"

namespace lectern {
namespace {

struct Cited {
  std::string text;
  std::vector<Citation> citations;
  CitedText::Counts counts;
  std::vector<std::string> unsupported;
};

std::vector<EvidencePassage> pump_house() {
  SourcePassage first, second;
  first.document_id = 1;
  first.begin = 100;
  first.title = "The pump house";
  first.heading_path = "The pump house > History > The boiler";
  first.text = "Ada Quill built the pump house in 1874. The boiler came from Leeds.";
  second.document_id = 2;
  second.text = "Captain Tolliver sailed the ferry.";
  return merge_neighbours({first, second});
}

Cited cite(const std::string& reply, size_t piece = 1) {
  const auto passages = pump_house();
  const SupportIndex support(passages, "Who built what?", {});
  std::string streamed;
  CitedText cited(passages, support, "Who built what?", [&](std::string_view text) {
    streamed += text;
    return true;
  });
  for (size_t i = 0; i < reply.size(); i += piece) cited.feed(reply.substr(i, piece));
  cited.finish();
  CHECK(streamed == cited.text());
  std::vector<std::string> unsupported;
  for (const TextRange& claim : cited.unsupported()) unsupported.emplace_back(claim.of(cited.text()));
  return {cited.text(), cited.citations(), cited.counts(), unsupported};
}

}  // namespace

TEST_CASE("markers are checked, pointed right, attached and numbered in order of appearance") {
  CHECK(cite("Captain Tolliver sailed the ferry [2].").text == "Captain Tolliver sailed the ferry [1].");
  CHECK(cite("Captain Tolliver sailed the ferry [1].").counts.repointed == 1);
  CHECK(cite("Captain Tolliver sailed the ferry.").counts.attached == 1);
  CHECK(cite("Unicorns dance at noon [1].").text == "Unicorns dance at noon.");
  const Cited two = cite("The boiler came from Leeds [1]. Ada Quill built the pump house in 1874 [1].");
  CHECK(two.text == "The boiler came from Leeds [1]. Ada Quill built the pump house in 1874 [2].");
  REQUIRE(two.citations.size() == 2);
  CHECK(two.citations[0].quote == "The boiler came from Leeds.");
  CHECK(two.citations[0].quote_begin == 140);
}

TEST_CASE("sentences that no passage supports are named") {
  using Claims = std::vector<std::string>;
  CHECK(cite("Ada Quill built it in 1874 [1]. Unicorns dance at noon [2]. The boiler came from Leeds.")
            .unsupported == Claims{"Unicorns dance at noon."});
  CHECK(cite("1875").unsupported == Claims{"1875"});
  CHECK(cite("Two things were built:\n- unicorn stables\n- a boiler from Leeds\n").unsupported ==
        Claims{"- unicorn stables"});
  CHECK(cite("Yes. The passages do not say who paid.").unsupported.empty());
  CHECK(cite("Ada Quill built it in 1874 [1].").unsupported.empty());
  CHECK(cite("`unicorns = dance(noon)`").unsupported.empty());
}

TEST_CASE("the same sentence keeps its number") {
  CHECK(cite("The boiler came from Leeds [1]. Yes, from Leeds came the boiler [1].").citations.size() == 1);
  CHECK(cite("The boiler came from Leeds [1][1][1].").text == "The boiler came from Leeds [1].");
}

TEST_CASE("text around markers stays tidy") {
  CHECK(cite("").text.empty());
  CHECK(cite("   ").text.empty());
  CHECK(cite("[2]").text.empty());
  CHECK(cite("[2]. The boiler came from Leeds [1].").text == "The boiler came from Leeds [1].");
  CHECK(cite("\n\nLeeds.\n").text == "Leeds [1].");
  CHECK(cite("- Ada Quill, 1874\n- Leeds\n").text == "- Ada Quill, 1874 [1]\n- Leeds [2]");
  CHECK(cite("[link](x) [a, b] [").text == "[link](x) [a, b] [");
  CHECK(cite("It was 3.5 m, e.g. at noon").text == "It was 3.5 m, e.g. at noon");
}

TEST_CASE("what is copied from the frame around the passages goes") {
  CHECK(cite("The pump house > History > Ada Quill [1].").text == "Ada Quill [1].");
  CHECK(cite("As History > The boiler tells, it came from Leeds [1].").text ==
        "As The boiler tells, it came from Leeds [1].");
  CHECK(cite("The boiler came from Leeds [1]. This information is found in passage [1].").text ==
        "The boiler came from Leeds [1].");
  CHECK(cite("This information is found in passage [2].\nThe boiler came from Leeds.").text ==
        "The boiler came from Leeds [1].");
  CHECK(cite("The information plate of the boiler is from Leeds [1].").text ==
        "The information plate of the boiler is from Leeds [1].");
}

TEST_CASE("asides that only point to a passage leave the marker") {
  CHECK(cite("Captain Tolliver sailed the ferry, as stated in passage [2].").text ==
        "Captain Tolliver sailed the ferry [1].");
  CHECK(cite("Unicorns dance at noon, as stated in [1].").text == "Unicorns dance at noon.");
  CHECK(cite("The boiler came from Leeds, according to passage 1.").text ==
        "The boiler came from Leeds [1].");
  CHECK(cite("- Leeds, as stated in the passage\n- Ada Quill, 1874").text ==
        "- Leeds [1]\n- Ada Quill, 1874 [2]");
  CHECK(cite("The boiler, as stated in passage [1], came from Leeds.").text ==
        "The boiler, as stated in passage [1], came from Leeds.");
  CHECK(cite("The boiler came from Leeds, according to [1] and Ada Quill.").text ==
        "The boiler came from Leeds, according to [1] and Ada Quill.");
  CHECK(cite("Unicorns dance,\n\naccording to the document.\nLeeds.").text ==
        "Unicorns dance,\n\naccording to the document.\nLeeds [1].");
  CHECK(cite("Captain Tolliver sailed, according to Leeds [1].").text ==
        "Captain Tolliver sailed, according to Leeds [1].");
}

TEST_CASE("no comma is left before a marker or at the end") {
  CHECK(cite("Ada Quill built the pump house in 1874, [1].").text ==
        "Ada Quill built the pump house in 1874 [1].");
  CHECK(cite("Ada Quill built the pump house in 1874, [9]").text ==
        "Ada Quill built the pump house in 1874 [1]");
  CHECK(cite("Unicorns dance at noon, [1].").text == "Unicorns dance at noon.");
  CHECK(cite("She paid 1,250, and left, [x]").text == "She paid 1,250, and left, [x]");
}

TEST_CASE("a value of another kind than the question asks for is not cited") {
  SourcePassage passage;
  passage.text = "The bakery in Mill Lane sells a rye loaf for £4.20.";
  const auto passages = merge_neighbours({passage});
  const std::string question = "What is the phone number of the bakery?";
  const SupportIndex support(passages, question, {});
  for (const std::string reply :
       {"The phone number of the bakery is £4.20 [1].", "The bakery in Mill Lane: £4.20."}) {
    CitedText cited(passages, support, question, {});
    cited.feed(reply);
    cited.finish();
    CHECK(cited.citations().empty());
    CHECK(cited.unsupported().size() == 1);
  }
}

TEST_CASE("quotation marks stay only around words of the passages or the question") {
  CHECK(cite("\"The boiler came from Leeds.\"").counts.unquoted == 0);
  CHECK(cite("“the  boiler\tcame from leeds”").counts.unquoted == 0);
  CHECK(cite("\"Who built what\"").counts.unquoted == 0);
  CHECK(cite("He said \"the boiler exploded\".").text == "He said the boiler exploded.");
  CHECK(cite("a lone \" mark").text == "a lone \" mark");
}

TEST_CASE("a receiver that wants no more stops the text") {
  const auto passages = pump_house();
  const SupportIndex support(passages, "q", {});
  int calls = 0;
  CitedText cited(passages, support, "q", [&](std::string_view) { return ++calls < 3; });
  bool more = true;
  for (int i = 0; i < 10 && more; ++i) more = cited.feed("x");
  CHECK_FALSE(more);
  CHECK(calls == 3);
}

TEST_CASE("what a dropped marker or a lone blank leaves is tidied") {
  CHECK(cite("Unicorns dance at noon. [2].").text == "Unicorns dance at noon.");
  CHECK(cite("The boiler came from Leeds [1]\n Ada Quill built it [1]").text ==
        "The boiler came from Leeds [1]\nAda Quill built it [2]");
  CHECK(cite("- Ada Quill\n  - the boiler").text == "- Ada Quill [1]\n  - the boiler [2]");
}

TEST_CASE("a claim after a refusal is checked") {
  using Claims = std::vector<std::string>;
  CHECK(cite("The passages do not say it, but the toll was nine pence [1].").unsupported ==
        Claims{"The passages do not say it, but the toll was nine pence."});
  CHECK(cite("The passages do not mention it: the toll was nine pence [1].").unsupported ==
        Claims{"The passages do not mention it: the toll was nine pence."});
  CHECK(cite("The passages do not answer the question: what was the toll for a cart?").unsupported.empty());
  CHECK(cite("The passages do not say it.").unsupported.empty());
}

namespace {

// What is cited for the claim, the only one, from the only passage.
SourcePassage cited_for(const SourcePassage& passage, const std::string& claim) {
  const auto passages = merge_neighbours({passage});
  const SupportIndex support(passages, "", {});
  CitedText cited(passages, support, "", [](std::string_view) { return true; });
  cited.feed(claim);
  cited.finish();
  REQUIRE(cited.citations().size() == 1);
  return cited.citations().front().passage;
}

}  // namespace

TEST_CASE("a citation has the lines of its quote") {
  SourcePassage chunk;
  chunk.text = "# Boiler\n\nIt came from Leeds.\nThe mill\nburned down in 1911.";
  chunk.first_line = 7, chunk.last_line = 11;
  const auto lines_of = [](const SourcePassage& passage, const std::string& claim) {
    const SourcePassage cite = cited_for(passage, claim);
    return std::pair(cite.first_line, cite.last_line);
  };
  CHECK(lines_of(chunk, "It came from Leeds.") == std::pair(9, 9));
  CHECK(lines_of(chunk, "The mill burned down in 1911.") == std::pair(10, 11));
  chunk.first_line = chunk.last_line = 0;  // a source without lines
  CHECK(lines_of(chunk, "It came from Leeds.") == std::pair(0, 0));
}

TEST_CASE("a citation has the heading of its quote") {
  SourcePassage chunk;
  chunk.text =
      "The boat has a diesel engine.\n\n## Mooring\nThe berth is number 47.\n\n## Winter\nShe sleeps.\n";
  chunk.heading_path = "Boat > Engine";
  chunk.later_sections = {{chunk.text.find("## Mooring"), "Boat > Mooring"},
                          {chunk.text.find("## Winter"), "Boat > Winter"}};
  CHECK(cited_for(chunk, "The boat has a diesel engine.").heading_path == "Boat > Engine");
  CHECK(cited_for(chunk, "The berth is number 47.").heading_path == "Boat > Mooring");
}

TEST_CASE("refusals are recognised") {
  CHECK(says_not_found("The passages do not mention this."));
  CHECK(says_not_found("段落中没有这个信息。"));
  CHECK(says_not_found("NOT IN THESE DOCUMENTS"));
  CHECK_FALSE(says_not_found("Ada Quill built it."));
  CHECK_FALSE(says_not_found(std::string(500, 'x') + " passages do not"));
}

}  // namespace lectern
