#include "apps/mcp/lines.h"

#include <vector>

#include "tests/support/catch.h"

using lectern::mcp::LineCutter;

namespace {

// What comes out when the input is fed in pieces of `piece` bytes; a line too long shows as "!".
std::vector<std::string> cut(std::string_view input, size_t piece, size_t max_bytes = 8) {
  std::vector<std::string> lines;
  const auto on_line = [&](std::optional<std::string_view> line) {
    lines.emplace_back(line ? std::string(*line) : "!");
  };
  LineCutter cutter(max_bytes);
  for (size_t at = 0; at < input.size(); at += piece) cutter.feed(input.substr(at, piece), on_line);
  cutter.finish(on_line);
  return lines;
}

}  // namespace

TEST_CASE("lines are the same however the bytes arrive") {
  const std::string input = "one\ntwo\r\n\n123456789\n12345678\nlast";
  const std::vector<std::string> lines = {"one", "two", "", "!", "12345678", "last"};
  for (size_t piece = 1; piece <= input.size(); ++piece) CHECK(cut(input, piece) == lines);
}

TEST_CASE("a line that never ends is counted once and not kept") {
  const std::vector<std::string> lines = {"!"};
  CHECK(cut(std::string(1000, 'x'), 7) == lines);
  CHECK(cut("", 1).empty());
}
