#include "retrieval/charset.h"

#include "base/error.h"
#include "base/utf8.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace std::string_literals;

TEST_CASE("charset: UTF-8 stays as it is, without its mark") {
  CHECK(decode_text("\xEF\xBB\xBFna\xC3\xAFve\r\n", "a").text == "na\xC3\xAFve\r\n");
  const DecodedText plain = decode_text("plain\ttext\n", "a");
  CHECK(plain.text == "plain\ttext\n");
  CHECK(plain.charset == "UTF-8");
  CHECK(decode_text("", "a").text.empty());
}

TEST_CASE("charset: a few damaged bytes do not make UTF-8 something else") {
  const DecodedText damaged = decode_text("苏州的第二天去了拙政园\xFF，人不多", "a");
  CHECK(damaged.charset == "UTF-8");
  CHECK(damaged.text == "苏州的第二天去了拙政园\xEF\xBF\xBD，人不多");
  CHECK(damaged.n_replaced == 1);
}

TEST_CASE("charset: control characters become spaces of the same length") {
  std::string text =
      "a\x01"
      "b\x7F"
      "c\xC2\x85"
      "d\x1B[31m, and so on for a while without any further trouble at all";
  const size_t size = text.size();
  const DecodedText clean = decode_text(text, "a");
  CHECK(clean.text.size() == size);
  CHECK(
      clean.text.starts_with("a b c\xC2\xA0"
                             "d [31m"));
  CHECK(
      decode_text("one stray NUL in a text of some length\0, which is no harm, as everyone will agree"s, "a")
          .text.find('\0') == std::string::npos);
}

TEST_CASE("charset: UTF-16 and UTF-32 by their marks, UTF-16 also without") {
  CHECK(decode_text("\xFF\xFE\x2D\x4E\x87\x65"s, "a").text == "中文");
  CHECK(decode_text("\xFE\xFF\x4E\x2D\x65\x87"s, "a").text == "中文");
  CHECK(decode_text("\xFF\xFE\0\0A\0\0\0"s, "a").text == "A");
  CHECK(decode_text("h\0e\0l\0l\0o\0"s, "a").text == "hello");
  CHECK(decode_text("\0h\0e\0l\0l\0o"s, "a").charset == "UTF-16BE");
  CHECK(decode_text("\xFF\xFE"
                    "A\0\0\0B"s,
                    "a")
            .text == "A \xEF\xBF\xBD");  // NUL, half a unit
  CHECK(decode_text("\xFF\xFE\x3D\xD8"
                    "A\0"s,
                    "a")
            .text ==
        "\xEF\xBF\xBD"
        "A");  // half a surrogate pair
}

TEST_CASE("charset: East Asian and single-byte charsets are guessed") {
  struct Case {
    std::string bytes, text;
  };
  const std::vector<Case> cases{
      // GB18030
      {"\xce\xd2\xc3\xc7\xd4\xda\xcb\xd5\xd6\xdd\xb5\xc4\xb5\xda\xb6\xfe\xcc\xec\xc8\xa5\xc1\xcb\xd7\xbe\xd5"
       "\xfe\xd4\xb0",
       "我们在苏州的第二天去了拙政园"},
      // Big5
      {"\xac\x51\xa4\xd1\xa4\x55\xa4\xc8\xa7\xda\xad\xcc\xb6\x7d\xb7\x7c\xb0\x51\xbd\xd7\xa4\x46\xb7\x73\xaa"
       "\xba\xad\x70\xb5\x65",
       "昨天下午我們開會討論了新的計畫"},
      // Shift_JIS
      {"\x8d\xf0\x93\xfa\x82\xcc\x8c\xdf\x8c\xe3\x81\x41\x8e\x84\x82\xbd\x82\xbf\x82\xcd\x90\x56\x82\xb5\x82"
       "\xa2\x8c\x76\x89\xe6",
       "昨日の午後、私たちは新しい計画"},
      // EUC-KR
      {"\xbe\xee\xc1\xa6 \xbf\xc0\xc8\xc4 \xbf\xec\xb8\xae\xb4\xc2 \xbb\xf5\xb7\xce\xbf\xee "
       "\xb0\xe8\xc8\xb9\xbf\xa1 \xb4\xeb\xc7\xd8 "
       "\xb3\xed\xc0\xc7\xc7\xdf\xbd\xc0\xb4\xcf\xb4\xd9. \xb1\xdd\xbf\xe4\xc0\xcf\xb1\xee\xc1\xf6 "
       "\xba\xb8\xb3\xbb\xc1\xd6\xbd\xca\xbd\xc3\xbf\xc0",
       "어제 오후 우리는 새로운 계획에 대해 논의했습니다. 금요일까지 보내주십시오"},
      // windows-1251
      {"\xc2\xf7\xe5\xf0\xe0 \xe4\xed\xb8\xec \xec\xfb \xee\xe1\xf1\xf3\xe4\xe8\xeb\xe8 \xed\xee\xe2\xfb\xe9 "
       "\xef\xeb\xe0\xed",
       "Вчера днём мы обсудили новый план"},
      // windows-1252
      {"Gestern haben wir \xfc"
       "ber die \xc4nderungen gesprochen, sp\xe4testens m\xf6glichst fr\xfch \x96 ja",
       "Gestern haben wir über die Änderungen gesprochen, spätestens möglichst früh – ja"},
  };
  for (const Case& c : cases) {
    const DecodedText decoded = decode_text(c.bytes, "a");
    CAPTURE(decoded.charset);
    CHECK(decoded.text == c.text);
    CHECK(decoded.n_replaced == 0);
  }
}

TEST_CASE("charset: telling bytes far into a file are found") {
  std::string bytes(100'000, 'x');
  bytes[50'000] = '\n';
  bytes += "\n\xce\xd2\xc3\xc7\xd4\xda\xcb\xd5\xd6\xdd\xb5\xc4\xb5\xda\xb6\xfe\xcc\xec\n";
  CHECK(decode_text(bytes, "a").text.ends_with("我们在苏州的第二天\n"));
}

TEST_CASE("charset: what a document declares counts where it is not UTF-8") {
  CHECK(decode_text("\xe4\xf6\xfc", "a", "ISO-8859-5").text == "фіќ");
  CHECK(decode_text("\xC3\xA4", "a", "ISO-8859-5").text == "ä");
  CHECK(decode_text("\xce\xd2", "a", "gb2312").text == "我");
  CHECK(decode_text("\x1B$B$3$s\x1B(B", "a", "ISO-2022-JP").text == "こん");
  // Names that are no charsets are passed over.
  CHECK(utf8::is_valid(decode_text("\xe4 text", "a", "no,such=charset").text));
  CHECK(utf8::is_valid(decode_text("+AGE-\xe4", "a", "utf-7").text));
}

TEST_CASE("charset: binary data is refused by name") {
  const std::string elf =
      "\x7F"
      "ELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0"s;
  CHECK(looks_binary(elf));
  CHECK_FALSE(looks_binary("text\n"));
  CHECK_FALSE(looks_binary(""));
  CHECK_FALSE(looks_binary("h\0e\0l\0l\0o\0"s));
  try {
    decode_text(elf, "folder/tool");
    FAIL("not refused");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kUnsupported);
    CHECK(std::string(error.what()).find("folder/tool: is a binary file") == 0);
  }
}

TEST_CASE("charset: any bytes give clean UTF-8 or an Error") {
  uint64_t state = 42;
  for (int round = 0; round < 500; ++round) {
    std::string bytes;
    const int size = round % 97;
    for (int i = 0; i < size; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const auto byte = static_cast<uint8_t>(state >> 56);
      bytes.push_back(static_cast<char>(round % 2 == 0 ? byte : byte | 0x80));
    }
    try {
      const std::string text = decode_text(bytes, "a").text;
      CHECK(utf8::is_valid(text));
      CHECK(std::none_of(text.begin(), text.end(), [](char c) {
        return (c >= 0 && c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
      }));
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kUnsupported);
    }
  }
}
