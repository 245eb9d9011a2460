// A JSON number as a state machine over bytes: up to 15 digits before and after the point, what a double
// holds, and no exponent.
#pragma once

#include <cstdint>

namespace lectern {

// Where in a number: the state, and the digits so far above it.
enum NumberState : uint32_t { kNumberStart, kAfterMinus, kAfterZero, kWhole, kAfterPoint, kFraction };
inline constexpr uint32_t kDigit = 8;
inline constexpr uint32_t kMaxDigits = 15;  // before and after the point

constexpr bool is_between(uint8_t byte, uint8_t low, uint8_t high) {
  return byte >= low && byte <= high;
}

// Takes one byte; false when it cannot follow.
inline bool step_number(uint32_t& detail, bool integer, uint8_t byte) {
  const uint32_t state = detail % kDigit, n_digits = detail / kDigit;
  const bool digit = is_between(byte, '0', '9');
  switch (state) {
    case kNumberStart:
      if (byte == '-') return detail = kAfterMinus, true;
      [[fallthrough]];
    case kAfterMinus:
      if (!digit) return false;
      detail = byte == '0' ? kAfterZero : kWhole + kDigit;
      return true;
    case kWhole:
      if (digit && n_digits < kMaxDigits) return detail += kDigit, true;
      [[fallthrough]];
    case kAfterZero:
      if (integer || byte != '.') return false;
      detail = kAfterPoint;
      return true;
    case kAfterPoint:
    case kFraction:
      if (!digit || n_digits == kMaxDigits) return false;
      detail = kFraction + (n_digits + 1) * kDigit;
      return true;
    default:
      return false;
  }
}

inline bool number_may_end(uint32_t detail) {
  const uint32_t state = detail % kDigit;
  return state == kAfterZero || state == kWhole || state == kFraction;
}

}  // namespace lectern
