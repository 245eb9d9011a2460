#include "agent/currencies.h"

#include <algorithm>
#include <array>
#include <string>

namespace lectern {
namespace {

enum Currency : unsigned { kDollar = 1, kEuro = 2, kPound = 4, kYen = 8, kYuan = 16, kRupee = 32, kWon = 64 };

struct Name {
  std::string_view text;  // folded
  unsigned currencies;
};

// Wherever they stand.
constexpr auto kSigns = std::to_array<Name>({
    {"$", kDollar},
    {"美元", kDollar},
    {"€", kEuro},
    {"欧元", kEuro},
    {"£", kPound},
    {"英镑", kPound},
    {"¥", kYen | kYuan},
    {"￥", kYen | kYuan},
    {"日元", kYen},
    {"人民币", kYuan},
    {"₹", kRupee},
    {"₩", kWon},
});
// Terms of support_terms().
constexpr auto kWords = std::to_array<Name>({
    {"dollar", kDollar},
    {"usd", kDollar},
    {"euro", kEuro},
    {"eur", kEuro},
    {"gbp", kPound},
    {"yen", kYen},
    {"jpy", kYen},
    {"yuan", kYuan},
    {"rmb", kYuan},
    {"cny", kYuan},
    {"rupe", kRupee},
});

// "5600元", "三十元", but not "公元" or "美元".
bool has_amount_of_yuan(std::string_view text) {
  constexpr std::string_view kYuanSign = "元";
  constexpr auto kNumerals = std::to_array<std::string_view>(
      {"一", "二", "两", "三", "四", "五", "六", "七", "八", "九", "十", "百", "千", "万", "亿"});
  for (size_t at = text.find(kYuanSign); at != std::string_view::npos; at = text.find(kYuanSign, at + 1)) {
    std::string_view before = text.substr(0, at);
    while (before.ends_with(' ')) before.remove_suffix(1);
    if (before.empty()) continue;
    const bool digit = before.back() >= '0' && before.back() <= '9';
    if (digit || std::any_of(kNumerals.begin(), kNumerals.end(),
                             [&](std::string_view numeral) { return before.ends_with(numeral); }))
      return true;
  }
  return false;
}

}  // namespace

unsigned currencies(std::string_view text, std::span<const SupportTerm> terms) {
  unsigned out = has_amount_of_yuan(text) ? kYuan : 0U;
  for (const Name& sign : kSigns)
    if (text.find(sign.text) != std::string_view::npos) out |= sign.currencies;
  for (const SupportTerm& term : terms) {
    for (const Name& word : kWords)
      if (term.text == word.text) out |= word.currencies;
  }
  return out;
}

}  // namespace lectern
