// The inside of a JSON string as a state machine over bytes: which bytes may follow, in UTF-8 (Unicode
// standard, table 3-7) and with the escapes \" \\ \/ \b \f \n \r \t.
#pragma once

#include <cstdint>
#include <string_view>

namespace lectern {

enum class StringState : uint8_t {
  kBetween,  // characters: the next byte begins one, or is the closing quote
  kEscape,   // after a backslash
  kOneMore,  // continuation bytes to come
  kTwoMore,
  kThreeMore,
  kAfterE0,  // lead bytes that narrow the second byte
  kAfterED,
  kAfterF0,
  kAfterF4,
  kClosed,  // after the closing quote
  kRejected,
};

namespace grammar_string_detail {

constexpr StringState after_first_byte(uint8_t byte) {
  if (byte == '"') return StringState::kClosed;
  if (byte == '\\') return StringState::kEscape;
  if (byte < 0x20) return StringState::kRejected;
  if (byte < 0x80) return StringState::kBetween;
  if (byte < 0xC2) return StringState::kRejected;
  if (byte <= 0xDF) return StringState::kOneMore;
  if (byte == 0xE0) return StringState::kAfterE0;
  if (byte == 0xED) return StringState::kAfterED;
  if (byte <= 0xEF) return StringState::kTwoMore;
  if (byte == 0xF0) return StringState::kAfterF0;
  if (byte <= 0xF3) return StringState::kThreeMore;
  return byte == 0xF4 ? StringState::kAfterF4 : StringState::kRejected;
}

}  // namespace grammar_string_detail

// The state after one byte; kRejected when it cannot follow. Not for kClosed and kRejected.
constexpr StringState next_in_string(StringState state, uint8_t byte) {
  const auto within = [byte](uint8_t low, uint8_t high, StringState next) {
    return byte >= low && byte <= high ? next : StringState::kRejected;
  };
  switch (state) {
    case StringState::kBetween:
      return grammar_string_detail::after_first_byte(byte);
    case StringState::kEscape:
      return std::string_view("\"\\/bfnrt").find(static_cast<char>(byte)) != std::string_view::npos
                 ? StringState::kBetween
                 : StringState::kRejected;
    case StringState::kOneMore:
      return within(0x80, 0xBF, StringState::kBetween);
    case StringState::kTwoMore:
      return within(0x80, 0xBF, StringState::kOneMore);
    case StringState::kThreeMore:
      return within(0x80, 0xBF, StringState::kTwoMore);
    case StringState::kAfterE0:
      return within(0xA0, 0xBF, StringState::kOneMore);
    case StringState::kAfterED:
      return within(0x80, 0x9F, StringState::kOneMore);
    case StringState::kAfterF0:
      return within(0x90, 0xBF, StringState::kTwoMore);
    case StringState::kAfterF4:
      return within(0x80, 0x8F, StringState::kTwoMore);
    case StringState::kClosed:
    case StringState::kRejected:
      break;
  }
  return StringState::kRejected;
}

}  // namespace lectern
