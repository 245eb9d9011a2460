#include "retrieval/links.h"

#include "base/utf8.h"

namespace lectern {
namespace {

constexpr size_t kMaxListed = 10'000;
constexpr size_t kMaxNameBytes = 512;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void Listing::add(std::string_view item) {
  if (item.empty() || item.size() > kMaxNameBytes || out_.size() >= kMaxListed) return;
  if (seen_.insert(std::string(item)).second) out_.emplace_back(item);
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return utf8::repair(out);
}

std::string relative_target(std::string_view target) {
  target = target.substr(0, target.find_first_of("#?"));
  if (target.empty() || target.size() > kMaxNameBytes || target.front() == '/') return "";
  const size_t colon = target.find(':');
  if (colon != std::string_view::npos && target.find('/') > colon) return "";  // a scheme
  return percent_decoded(target);
}

}  // namespace lectern
