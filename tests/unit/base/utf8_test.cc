#include "base/utf8.h"

#include "tests/support/catch.h"

using namespace lectern;

TEST_CASE("utf8 repairs ill-formed sequences by maximal subparts") {
  CHECK(utf8::repair("caf\xC3\xA9 \xE4\xB8\xAD") == "caf\xC3\xA9 \xE4\xB8\xAD");
  const std::string r = "\xEF\xBF\xBD";
  CHECK(utf8::repair("a\xFFz") == "a" + r + "z");
  CHECK(utf8::repair("\xE4\xB8") == r);  // truncated: one
  CHECK(utf8::repair("\xE4\xB8z") == r + "z");
  CHECK(utf8::repair("\xED\xA0\x80") == r + r + r);  // surrogate: each byte
  CHECK(utf8::repair("\xC0\xAF") == r + r);          // overlong
  CHECK(utf8::repair("\xF4\x90\x80\x80") == r + r + r + r);
  CHECK_FALSE(utf8::is_valid("\x80"));
}

TEST_CASE("utf8 counts, cuts and holds back whole sequences") {
  CHECK(utf8::count("a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80") == 4);
  CHECK(utf8::prefix("a\xE4\xB8\xAD", 3) == "a");
  CHECK(utf8::prefix("a\xE4\xB8\xAD", 4) == "a\xE4\xB8\xAD");
  CHECK(utf8::incomplete_tail("a\xE4\xB8") == 2);
  CHECK(utf8::incomplete_tail("a\xE4\xB8\xAD") == 0);
  CHECK(utf8::incomplete_tail("\xF0") == 1);
}

TEST_CASE("utf8 encodes what it decodes") {
  for (const char32_t c : {U'\0', U'A', U'\u00e9', U'\u4e2d', U'\U0001F600', U'\U0010FFFF'}) {
    std::string text;
    utf8::append(text, c);
    const auto decoded = utf8::decode(text, 0);
    CHECK(decoded.code_point == c);
    CHECK(decoded.length == text.size());
  }
}
