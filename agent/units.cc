#include "agent/units.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/ascii.h"

namespace lectern {
namespace {

using enum Unit;
using std::string_view;
constexpr auto kMoney = Quantity::kMoney, kMass = Quantity::kMass, kLength = Quantity::kLength,
               kVolume = Quantity::kVolume, kTemperature = Quantity::kTemperature, kShare = Quantity::kShare,
               kTime = Quantity::kTime, kMagnitude = Quantity::kMagnitude;

// Lower case; a plural in "s" is found by its singular.
constexpr auto kWords = std::to_array<UnitName>({
    {"kg", kKilogram, kMass},
    {"kilogram", kKilogram, kMass},
    {"kilo", kKilogram, kMass},
    {"g", kGram, kMass},
    {"gram", kGram, kMass},
    {"pound", kPound, kMoney | kMass},
    {"lb", kPound, kMass},
    {"ton", kTon, kMass},
    {"tonne", kTon, kMass},
    {"ounce", kOunce, kMass},
    {"m", kMetre, kLength},
    {"metre", kMetre, kLength},
    {"meter", kMetre, kLength},
    {"km", kKilometre, kLength},
    {"kilometre", kKilometre, kLength},
    {"kilometer", kKilometre, kLength},
    {"cm", kCentimetre, kLength},
    {"centimetre", kCentimetre, kLength},
    {"centimeter", kCentimetre, kLength},
    {"mm", kMillimetre, kLength},
    {"millimetre", kMillimetre, kLength},
    {"millimeter", kMillimetre, kLength},
    {"mile", kMile, kLength},
    {"foot", kFoot, kLength},
    {"feet", kFoot, kLength},
    {"ft", kFoot, kLength},
    {"inch", kInch, kLength},
    {"inches", kInch, kLength},
    {"yard", kYard, kLength},
    {"l", kLitre, kVolume},
    {"litre", kLitre, kVolume},
    {"liter", kLitre, kVolume},
    {"ml", kMillilitre, kVolume},
    {"gallon", kGallon, kVolume},
    {"second", kSecond, kTime},
    {"minute", kMinute, kTime},
    {"min", kMinute, kTime},
    {"hour", kHour, kTime},
    {"day", kDay, kTime},
    {"week", kWeek, kTime},
    {"month", kMonth, kTime},
    {"year", kYear, kTime},
    {"am", kBeforeNoon, kTime},
    {"pm", kAfterNoon, kTime},
    {"percent", kPercent, kShare},
    {"hundred", kHundred, kMagnitude},
    {"thousand", kThousand, kMagnitude},
    {"million", kMillion, kMagnitude},
    {"billion", kBillion, kMagnitude},
    {"euro", kEuro, kMoney},
    {"eur", kEuro, kMoney},
    {"dollar", kDollar, kMoney},
    {"usd", kDollar, kMoney},
    {"yuan", kYuan, kMoney},
    {"cent", kUnknown, kMoney},
    {"pence", kUnknown, kMoney},
    {"penny", kUnknown, kMoney},
    {"gbp", kUnknown, kMoney},
});
// Whatever follows them. Longer ones first: "公斤" before "斤".
constexpr auto kSigns = std::to_array<UnitName>({
    {"per cent", kPercent, kShare},
    {"a.m", kBeforeNoon, kTime},
    {"p.m", kAfterNoon, kTime},
    {"%", kPercent, kShare},
    {"％", kPercent, kShare},
    {"°", kUnknown, kTemperature},
    {"℃", kUnknown, kTemperature},
    {"摄氏度", kUnknown, kTemperature},
    {"公斤", kKilogram, kMass},
    {"千克", kKilogram, kMass},
    {"公里", kKilometre, kLength},
    {"千米", kKilometre, kLength},
    {"厘米", kCentimetre, kLength},
    {"毫米", kMillimetre, kLength},
    {"英里", kMile, kLength},
    {"英尺", kFoot, kLength},
    {"英寸", kInch, kLength},
    {"毫升", kMillilitre, kVolume},
    {"加仑", kGallon, kVolume},
    {"分钟", kMinute, kTime},
    {"小时", kHour, kTime},
    {"星期", kWeek, kTime},
    {"个月", kMonth, kTime},
    {"世纪", kUnknown, kTime},
    {"百万", kMillion, kMagnitude},
    {"十亿", kBillion, kMagnitude},
    {"欧元", kEuro, kMoney},
    {"美元", kDollar, kMoney},
    {"英镑", kUnknown, kMoney},
    {"斤", kJin, kMass},
    {"吨", kTon, kMass},
    {"磅", kPound, kMass},
    {"克", kGram, kMass},
    {"米", kMetre, kLength},
    {"升", kLitre, kVolume},
    {"秒", kSecond, kTime},
    {"天", kDay, kTime},
    {"周", kWeek, kTime},
    {"年", kUnknown, kTime},
    {"月", kUnknown, kTime},
    {"日", kUnknown, kTime},
    {"点", kUnknown, kTime},
    {"度", kUnknown, kTemperature},
    {"千", kThousand, kMagnitude},
    {"万", kTenThousand, kMagnitude},
    {"亿", kHundredMillion, kMagnitude},
    {"元", kYuan, kMoney},
    {"块", kUnknown, kMoney},
});

}  // namespace

UnitName unit_at(string_view text) {
  for (const UnitName& sign : kSigns)
    if (text.starts_with(sign.text)) return sign;
  const auto end = std::find_if_not(text.begin(), text.end(), [](char c) { return is_ascii_letter(c); });
  const string_view word = text.substr(0, static_cast<size_t>(end - text.begin()));
  std::string name = ascii_lower(std::string(word));
  for (const bool plural : {false, true}) {
    if (plural) {
      if (name.size() < 3 || !name.ends_with('s')) break;  // "ms" are no metres
      name.pop_back();
    }
    for (const UnitName& unit : kWords)
      if (name == unit.text) return {word, unit.unit, unit.quantity};
  }
  return {};
}

}  // namespace lectern
