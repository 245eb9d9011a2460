// What stands behind a number and says what it counts: units of measure, currencies, times, magnitudes, by
// their English and Chinese names. One table for all who compare amounts. Pure; thread-safe.
#pragma once

#include <string_view>

namespace lectern {

enum class Unit {
  kUnknown,  // none, or one whose names are not told apart (cents, degrees)
  kKilogram,
  kGram,
  kPound,  // of mass and of money
  kTon,
  kJin,
  kOunce,
  kMetre,
  kKilometre,
  kCentimetre,
  kMillimetre,
  kMile,
  kFoot,
  kInch,
  kYard,
  kLitre,
  kMillilitre,
  kGallon,
  kSecond,
  kMinute,
  kHour,
  kDay,
  kWeek,
  kMonth,
  kYear,
  kBeforeNoon,
  kAfterNoon,
  kPercent,
  kHundred,
  kThousand,
  kTenThousand,
  kMillion,
  kHundredMillion,
  kBillion,
  kEuro,
  kDollar,
  kYuan,
};

// Bits: a pound is money or a mass.
enum class Quantity : unsigned {
  kNone = 0,
  kMoney = 1,
  kMass = 2,
  kLength = 4,
  kVolume = 8,
  kTemperature = 16,
  kShare = 32,  // percent
  kTime = 64,   // a date, a time of day, how long
  kMagnitude = 128,
};
constexpr Quantity operator|(Quantity a, Quantity b) {
  return static_cast<Quantity>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool overlap(Quantity a, Quantity b) {
  return (static_cast<unsigned>(a) & static_cast<unsigned>(b)) != 0;
}

struct UnitName {
  std::string_view text;
  Unit unit = Unit::kUnknown;
  Quantity quantity = Quantity::kNone;
};

// The name that `text` begins with: a whole word of letters in any case, singular or plural, or a sign. Its
// text is empty when there is none; else as long as in `text`.
UnitName unit_at(std::string_view text);

}  // namespace lectern
