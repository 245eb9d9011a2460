#include "retrieval/chunker.h"

#include <time.h>
#include <unicode/brkiter.h>
#include <unicode/uchar.h>

#include <memory>
#include <random>

#include "base/utf8.h"
#include "retrieval/extract.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {

Document plain(std::string text) {
  Document document;
  document.format = "text";
  document.text = std::move(text);
  return document;
}

std::vector<std::string> texts(const Document& document, int limit = kChunkCharacters) {
  std::vector<std::string> out;
  for (const Chunk& chunk : chunk_document(document, limit))
    out.push_back(document.text.substr(chunk.begin, chunk.end - chunk.begin));
  return out;
}

// Everything the header promises, checked by other means than the chunker's own.
void check_promises(const Document& document, int limit) {
  const std::string& text = document.text;
  const std::vector<Chunk> chunks = chunk_document(document, limit);
  uint64_t end = 0;
  int ordinal = 0;
  const auto blank = [&](uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i += utf8::decode(text, i).length)
      if (!u_isUWhiteSpace(static_cast<UChar32>(utf8::decode(text, i).code_point))) return false;
    return true;
  };
  UErrorCode status = U_ZERO_ERROR;
  std::unique_ptr<icu::BreakIterator> graphemes(
      icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), status));
  UText utext = UTEXT_INITIALIZER;
  utext_openUTF8(&utext, text.data(), static_cast<int64_t>(text.size()), &status);
  graphemes->setText(&utext, status);
  // A grapheme longer than a chunk has to be cut.
  const auto cuttable = [&](uint64_t offset) {
    if (graphemes->isBoundary(static_cast<int32_t>(offset))) return true;
    const auto from = static_cast<uint64_t>(graphemes->preceding(static_cast<int32_t>(offset)));
    const auto to = static_cast<uint64_t>(graphemes->following(static_cast<int32_t>(offset)));
    return utf8::count(std::string_view(text).substr(from, to - from)) > static_cast<size_t>(limit);
  };
  bool covered = true, bounded = true, whole_graphemes = true, placed = true;
  for (const Chunk& chunk : chunks) {
    covered = covered && chunk.begin >= end && chunk.end > chunk.begin && chunk.end <= text.size() &&
              blank(end, chunk.begin) && chunk.ordinal == ordinal++;
    const std::string_view body = std::string_view(text).substr(chunk.begin, chunk.end - chunk.begin);
    bounded = bounded && utf8::count(body) <= static_cast<size_t>(limit);
    whole_graphemes = whole_graphemes && cuttable(chunk.begin) && cuttable(chunk.end);
    placed =
        placed &&
        chunk.first_line ==
            1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(chunk.begin), '\n') &&
        chunk.last_line == chunk.first_line + std::count(body.begin(), body.end(), '\n');
    end = chunk.end;
  }
  covered = covered && blank(end, text.size());
  utext_close(&utext);
  CAPTURE(limit, text.size());
  CHECK(covered);
  CHECK(bounded);
  CHECK(whole_graphemes);
  CHECK(placed);
}

// Of this thread alone: other tests share the machine.
double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string repeat(const std::string& piece, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += piece;
  return out;
}

}  // namespace

TEST_CASE("chunker: an empty or blank text has no chunks") {
  CHECK(chunk_document(plain("")).empty());
  CHECK(chunk_document(plain(" \n\t\r\n\xE3\x80\x80\n")).empty());
}

TEST_CASE("chunker: a short text is one chunk without the blanks around it") {
  const Document document = plain("\n\n  One line.\n\nAnother.  \n\n");
  CHECK(texts(document) == std::vector<std::string>{"One line.\n\nAnother."});
  const Chunk chunk = chunk_document(document).front();
  CHECK(chunk.first_line == 3);
  CHECK(chunk.last_line == 5);
  CHECK(chunk.first_page == 0);
}

TEST_CASE("chunker: small paragraphs are packed, and cut between paragraphs") {
  const std::string a = repeat("a", 39) + ".", b = repeat("b", 39) + ".", c = repeat("c", 39) + ".";
  CHECK(texts(plain(a + "\n\n" + b + "\n\n" + c + "\n"), 100) == std::vector<std::string>{a + "\n\n" + b, c});
}

TEST_CASE("chunker: a long paragraph is cut between sentences") {
  const std::string text =
      "Mr. Brown went to the mill at 3.15 p.m. on foot. He had flour to buy! \"Is it ground yet?\" he asked. "
      "It was not.";
  const auto chunks = texts(plain(text), 60);
  CHECK(chunks == std::vector<std::string>{"Mr. Brown went to the mill at 3.15 p.m. on foot.",
                                           "He had flour to buy! \"Is it ground yet?\" he asked.",
                                           "It was not."});
  const auto chinese =
      texts(plain("我们第二天去了拙政园。园子里的荷花刚刚开，人不多。导游说这座园子始建于明代。"), 28);
  CHECK(chinese == std::vector<std::string>{"我们第二天去了拙政园。园子里的荷花刚刚开，人不多。",
                                            "导游说这座园子始建于明代。"});
}

TEST_CASE("chunker: wrapped lines are one paragraph, lines of their own are not") {
  const std::string wrapped =
      "The mill stands by the river. It was\nbuilt of oak and stone in the year\nof the flood. The miller "
      "lives\nthere still.";
  for (const std::string& chunk : texts(plain(wrapped), 72)) CHECK(chunk.back() == '.');
  const std::string log =
      "2024-01-01 ERROR disk. full\n2024-01-02 WARN disk. slow\n2024-01-03 INFO disk. fine\n";
  for (const std::string& chunk : texts(plain(log), 40)) CHECK(chunk.starts_with("2024"));
}

TEST_CASE("chunker: a sentence longer than a chunk is cut between words, a word between graphemes") {
  for (const std::string& chunk : texts(plain(repeat("word ", 100)), 50)) {
    CHECK(chunk.starts_with("word"));
    CHECK(chunk.ends_with("word"));
  }
  const auto letters = texts(plain(repeat("x", 130)), 50);
  CHECK(letters == std::vector<std::string>{repeat("x", 50), repeat("x", 50), repeat("x", 30)});
  // A family emoji of seven code points and a letter with two marks.
  const std::string family =
      "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7\xE2\x80\x8D\xF0\x9F\x91\xA6";
  for (const std::string& chunk : texts(plain(repeat(family, 20)), 16)) CHECK(chunk == family + family);
  for (const std::string& chunk : texts(plain(repeat("e\xCC\x81\xCC\xA3", 20)), 8))
    CHECK(chunk.size() % 5 == 0);
}

TEST_CASE("chunker: a heading sticks to what follows and a main section starts a chunk") {
  const std::string one = "One sentence of the first part which is not short.";
  const std::string two = "One sentence of the other part which is not short.";
  const Document document = extract_text("# Title\n\n## First\n\n" + one + "\n\n## Second\n\n" + two + "\n",
                                         "markdown", "a.md", {});
  const auto chunks = chunk_document(document, 120);
  REQUIRE(chunks.size() == 2);
  CHECK(document.text.substr(chunks[1].begin, 9) == "## Second");
  CHECK(chunks[0].heading_path == "Title > First");
  CHECK(chunks[1].heading_path == "Title > Second");

  const Document tight = extract_text(
      "Intro of a few words here.\n\n# Heading\n\n" + repeat("Words go on. ", 10), "markdown", "a.md", {});
  for (const std::string& chunk : texts(tight, 60)) CHECK_FALSE(chunk.ends_with("# Heading"));
  const Document setext =
      extract_text("Intro of a few words here.\n\nHeading\n=======\n\n" + repeat("Words go on. ", 10),
                   "markdown", "a.md", {});
  for (const std::string& chunk : texts(setext, 60)) CHECK_FALSE(chunk.ends_with("==="));
}

TEST_CASE("chunker: a chunk knows the sections that begin in it") {
  Document document;
  document.text = "# A\n\nOne.\n\n## B\n\nTwo.\n\n# C\n\nThree.\n";
  document.headings = {{0, 1, "A"}, {11, 2, "B"}, {23, 1, "C"}};
  const auto chunks = chunk_document(document, 512);
  REQUIRE(chunks.size() == 1);
  CHECK(chunks[0].heading_path == "A");
  REQUIRE(chunks[0].later_sections.size() == 2);
  CHECK(chunks[0].later_sections[0].offset == 11);
  CHECK(chunks[0].later_sections[0].heading_path == "A > B");
  CHECK(chunks[0].later_sections[1].offset == 23);
  CHECK(chunks[0].later_sections[1].heading_path == "C");
}

TEST_CASE("chunker: the heading path is that of where the chunk begins") {
  const Document document = extract_text("# A\n\n" + repeat("Some words. ", 10) + "\n\n## B\n\n" +
                                             repeat("Other words. ", 10) + "\n\n# C\n\nEnd.\n",
                                         "markdown", "a.md", {});
  std::vector<std::string> paths;
  for (const Chunk& chunk : chunk_document(document, 80)) paths.push_back(chunk.heading_path);
  CHECK(paths == std::vector<std::string>{"A", "A", "A > B", "A > B", "C"});
}

TEST_CASE("chunker: tables break between rows and code blocks stay whole where they fit") {
  std::string table = "| name | use |\n|---|---|\n";
  for (int i = 0; i < 20; ++i) table += "| bean. " + std::to_string(i) + " | soup. and more |\n";
  const Document document = extract_text(table, "markdown", "a.md", {});
  for (const std::string& chunk : texts(document, 100)) {
    CHECK(chunk.starts_with("|"));
    CHECK(chunk.ends_with("|"));
  }
  const std::string fence = "```\nx = 1.\n\n\ny = 2.\n```";
  const Document code = extract_text(
      repeat("Words go on. ", 5) + "\n\n" + fence + "\n\nMore words after it.\n", "markdown", "a.md", {});
  const auto chunks = texts(code, 80);
  CHECK(std::count_if(chunks.begin(), chunks.end(),
                      [&](const std::string& c) { return c.find(fence) != std::string::npos; }) == 1);
  // Too long to stay whole: cut between its lines.
  std::string long_fence = "```\n";
  for (int i = 0; i < 30; ++i) long_fence += "call(" + std::to_string(i) + "). then\n";
  for (const std::string& chunk : texts(extract_text(long_fence + "```\n", "markdown", "a.md", {}), 80))
    CHECK((chunk.ends_with("then") || chunk.ends_with("```")));
}

TEST_CASE("chunker: pages are those of the chunk's first and last byte") {
  Document document = plain("One page.\n\nTwo pages.\n\nThree pages.\n");
  document.pages = {{0, 1}, {11, 2}, {23, 3}};
  const auto chunks = chunk_document(document, 24);
  REQUIRE(chunks.size() == 2);
  CHECK(chunks[0].first_page == 1);
  CHECK(chunks[0].last_page == 2);
  CHECK(chunks[1].first_page == 3);
  CHECK(chunks[1].last_page == 3);
}

TEST_CASE("chunker: promises hold for random Unicode") {
  std::mt19937 random(7);
  // Letters, blanks, line ends, terminators, marks, joiners, flags, jamo, prepended marks, all scripts.
  const std::vector<std::u32string> alphabets{U"ab c\n. ",
                                              U"中文。\n，字",
                                              U"a\u0301\u0302 \n\u200D",
                                              U"\U0001F468\u200D\U0001F469 \U0001F1E9\U0001F1EA",
                                              U"\u1100\u1161\u11A8\uAC00 .\n",
                                              U"\u0600\u0601 1\n\u0903\u0915\u094D",
                                              U"\r\n\t\v\f\u0085\u2028\u2029\u3000\u00A0x.",
                                              U"# -=|`\nabc\n\n",
                                              U"ไทยภาษา ก\u0E33\n",
                                              U"\u0410\u0431. \u0432! ?\n"};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    const size_t n = random() % 700;
    while (text.size() < n) {
      const std::u32string& alphabet = round % 3 == 0
                                           ? alphabets[random() % alphabets.size()]
                                           : alphabets[static_cast<size_t>(round) % alphabets.size()];
      char32_t c = alphabet[random() % alphabet.size()];
      if (round % 11 == 0) c = random() % 0x11000;
      if (c == 0 || (c >= 0xD800 && c < 0xE000)) c = 'x';
      utf8::append(text, c);
    }
    const int limit = std::array{1, 3, 7, 20, 64, 512}[random() % 6];
    check_promises(plain(text), limit);
    check_promises(extract_text(text, "markdown", "a.md", {}), limit);
    check_promises(extract_text(text, "code", "a.c", {}), limit);
  }
}

TEST_CASE("chunker: structure that does not fit the text does no harm") {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    Document document = plain(repeat("Some words, 中文。 And\n\nmore of them\n", 1 + random() % 8));
    uint64_t offset = 0;
    while (offset < document.text.size() + 50) {
      const uint64_t begin = offset + random() % 20;
      offset = begin + 1 + random() % 60;
      document.keep_whole.push_back({begin, offset});
      document.headings.push_back({begin, static_cast<int>(random() % 5) - 1, "heading"});
      document.pages.push_back({begin, static_cast<int>(random() % 9)});
    }
    check_promises(document, 5 + static_cast<int>(random() % 60));
  }
}

TEST_CASE("chunker: one long line takes linear time") {
  for (const std::string piece :
       {"x", "word ", "A sentence. ", "中", "字。", "\n", " ", "e\xCC\x81", "\xCC\x81", "# \n", "|\n"}) {
    const auto seconds = [&](size_t bytes) {
      const Document document = plain(repeat(piece, bytes / piece.size()));
      const double before = cpu_seconds();
      const auto chunks = chunk_document(document);
      CHECK(chunks.size() <= bytes / 100);
      return cpu_seconds() - before;
    };
    const double small = seconds(1 << 18);
    const double large = seconds(1 << 21);
    CAPTURE(piece, small, large);
    CHECK(large < 32 * small + 0.05);  // eight times as long; a quadratic would take 64
  }
}
