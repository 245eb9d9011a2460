#include "engine/tokenizer_words.h"

#include "base/hash.h"
#include "tests/support/catch.h"

using namespace lectern;

namespace {

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = word_end(text, begin);
    result.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return result;
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("every code point has the class the reference gives it") {
  // The expected hash: tools/make_tokenizer_fixtures.py classes.
  std::string classes;
  for (char32_t c = 0; c < 0x110000; ++c) {
    const bool surrogate = c >= 0xD800 && c < 0xE000;
    classes.push_back(surrogate ? '\0' : static_cast<char>(char_class(c)));
  }
  CHECK(fnv1a(classes) == 0x93e868a41f796cc2u);
}

TEST_CASE("contractions split off, in any case, and only those") {
  CHECK(words("it's") == Words{"it", "'s"});
  CHECK(words("WE'LL'VE") == Words{"WE", "'LL", "'VE"});
  CHECK(words("'sx") == Words{"'s", "x"});
  CHECK(words("'\u017Fx") == Words{"'\u017F", "x"});  // long s folds to s
  CHECK(words("'x") == Words{"'x"});
  CHECK(words("o'clock") == Words{"o", "'clock"});
  CHECK(words("'rx 'r") == Words{"'rx", " '", "r"});
  CHECK(words("'") == Words{"'"});
}

TEST_CASE("letters take one leading sign, numbers stand alone") {
  CHECK(words("a b") == Words{"a", " b"});
  CHECK(words("a\tb") == Words{"a", "\tb"});
  CHECK(words("a\u3000b") == Words{"a", "\u3000b"});
  CHECK(words("a\nb") == Words{"a", "\n", "b"});
  CHECK(words("x12") == Words{"x", "1", "2"});
  CHECK(words(" 12") == Words{" ", "1", "2"});
  CHECK(words("--ab") == Words{"--", "ab"});
  CHECK(words("-ab") == Words{"-ab"});
}

TEST_CASE("signs take a leading space and the line breaks after them") {
  CHECK(words("a !!\n\r\nb") == Words{"a", " !!\n\r\n", "b"});
  CHECK(words("\t!!") == Words{"\t", "!!"});
  CHECK(words("e\u0301x") == Words{"e", "\u0301x"});  // a mark is no letter
}

TEST_CASE("white space ends at its last line break, or leaves one character to the next word") {
  CHECK(words("   a") == Words{"  ", " a"});
  CHECK(words("   1") == Words{"  ", " ", "1"});
  CHECK(words("a   ") == Words{"a", "   "});
  CHECK(words(" \n \n  a") == Words{" \n \n", " ", " a"});
  CHECK(words(" \n ") == Words{" \n", " "});
  CHECK(words("\r\n\r\n") == Words{"\r\n\r\n"});
}
