#include "engine/text_stream.h"

#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;

TEST_CASE("TextStream gives whole UTF-8 sequences only") {
  TextStream stream({});
  CHECK(stream.push("a\xE4\xBD") == "a");  // the beginning of 你
  CHECK(stream.push("\xA0") == "你");
  CHECK(stream.push("\xF0\x9F") == "");
  CHECK(stream.push("x") == "\uFFFDx");  // it was none
  CHECK(stream.push("\xE4") == "");
  CHECK(stream.finish() == "\uFFFD");
  CHECK(stream.finish() == "");
}

TEST_CASE("TextStream holds back what may become a stop string") {
  TextStream stream({"###", "END", "终点"});
  CHECK(stream.push("one #") == "one ");
  CHECK(stream.push("#") == "");
  CHECK(stream.push(" two") == "## two");  // it was none
  CHECK(stream.push("E") == "");
  CHECK(stream.push("N") == "");
  CHECK(stream.push("E") == "EN");
  CHECK(stream.push("终") == "E");
  CHECK(stream.push("终点 after") == "终");
  CHECK(stream.stopped());
  CHECK(stream.push("more") == "");
  CHECK(stream.finish() == "");
}

TEST_CASE("TextStream stops at the first stop string wherever its bytes are cut") {
  const std::string text = "abcabdabe";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    TextStream stream({"abe", "abd"});
    std::string shown = stream.push(text.substr(0, cut));
    shown += stream.push(text.substr(cut));
    CHECK(shown + stream.finish() == "abc");
    CHECK(stream.stopped());
  }
}

TEST_CASE("TextStream gives the beginning of a stop string when nothing follows") {
  TextStream stream({"stop"});
  CHECK(stream.push("do not sto") == "do not ");
  CHECK(stream.finish() == "sto");
  CHECK_FALSE(stream.stopped());
  CHECK_THROWS_AS(TextStream({"a", ""}), Error);
}
