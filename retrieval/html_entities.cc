#include "retrieval/html_entities.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>

#include "base/utf8.h"

namespace lectern {
namespace {

// U+00A0 to U+00FF, in order.
constexpr std::array<std::string_view, 96> kLatin1{
    "nbsp",   "iexcl",  "cent",   "pound",  "curren", "yen",    "brvbar", "sect",   "uml",    "copy",
    "ordf",   "laquo",  "not",    "shy",    "reg",    "macr",   "deg",    "plusmn", "sup2",   "sup3",
    "acute",  "micro",  "para",   "middot", "cedil",  "sup1",   "ordm",   "raquo",  "frac14", "frac12",
    "frac34", "iquest", "Agrave", "Aacute", "Acirc",  "Atilde", "Auml",   "Aring",  "AElig",  "Ccedil",
    "Egrave", "Eacute", "Ecirc",  "Euml",   "Igrave", "Iacute", "Icirc",  "Iuml",   "ETH",    "Ntilde",
    "Ograve", "Oacute", "Ocirc",  "Otilde", "Ouml",   "times",  "Oslash", "Ugrave", "Uacute", "Ucirc",
    "Uuml",   "Yacute", "THORN",  "szlig",  "agrave", "aacute", "acirc",  "atilde", "auml",   "aring",
    "aelig",  "ccedil", "egrave", "eacute", "ecirc",  "euml",   "igrave", "iacute", "icirc",  "iuml",
    "eth",    "ntilde", "ograve", "oacute", "ocirc",  "otilde", "ouml",   "divide", "oslash", "ugrave",
    "uacute", "ucirc",  "uuml",   "yacute", "thorn",  "yuml"};

// U+0391 to U+03C9, in order; "" where there is none.
constexpr std::array<std::string_view, 57> kGreek{
    "Alpha",   "Beta",  "Gamma",   "Delta", "Epsilon", "Zeta",  "Eta",     "Theta", "Iota",  "Kappa",
    "Lambda",  "Mu",    "Nu",      "Xi",    "Omicron", "Pi",    "Rho",     "",      "Sigma", "Tau",
    "Upsilon", "Phi",   "Chi",     "Psi",   "Omega",   "",      "",        "",      "",      "",
    "",        "",      "alpha",   "beta",  "gamma",   "delta", "epsilon", "zeta",  "eta",   "theta",
    "iota",    "kappa", "lambda",  "mu",    "nu",      "xi",    "omicron", "pi",    "rho",   "sigmaf",
    "sigma",   "tau",   "upsilon", "phi",   "chi",     "psi",   "omega"};

struct Named {
  std::string_view name;
  char32_t code_point;
};
constexpr std::array kOthers{
    Named{"quot", 0x22},     Named{"amp", 0x26},       Named{"apos", 0x27},     Named{"lt", 0x3C},
    Named{"gt", 0x3E},       Named{"OElig", 0x152},    Named{"oelig", 0x153},   Named{"Scaron", 0x160},
    Named{"scaron", 0x161},  Named{"Yuml", 0x178},     Named{"fnof", 0x192},    Named{"circ", 0x2C6},
    Named{"tilde", 0x2DC},   Named{"thetasym", 0x3D1}, Named{"upsih", 0x3D2},   Named{"piv", 0x3D6},
    Named{"ensp", 0x2002},   Named{"emsp", 0x2003},    Named{"thinsp", 0x2009}, Named{"zwnj", 0x200C},
    Named{"zwj", 0x200D},    Named{"lrm", 0x200E},     Named{"rlm", 0x200F},    Named{"ndash", 0x2013},
    Named{"mdash", 0x2014},  Named{"lsquo", 0x2018},   Named{"rsquo", 0x2019},  Named{"sbquo", 0x201A},
    Named{"ldquo", 0x201C},  Named{"rdquo", 0x201D},   Named{"bdquo", 0x201E},  Named{"dagger", 0x2020},
    Named{"Dagger", 0x2021}, Named{"bull", 0x2022},    Named{"hellip", 0x2026}, Named{"permil", 0x2030},
    Named{"prime", 0x2032},  Named{"Prime", 0x2033},   Named{"lsaquo", 0x2039}, Named{"rsaquo", 0x203A},
    Named{"oline", 0x203E},  Named{"frasl", 0x2044},   Named{"euro", 0x20AC},   Named{"image", 0x2111},
    Named{"weierp", 0x2118}, Named{"real", 0x211C},    Named{"trade", 0x2122},  Named{"alefsym", 0x2135},
    Named{"larr", 0x2190},   Named{"uarr", 0x2191},    Named{"rarr", 0x2192},   Named{"darr", 0x2193},
    Named{"harr", 0x2194},   Named{"crarr", 0x21B5},   Named{"lArr", 0x21D0},   Named{"uArr", 0x21D1},
    Named{"rArr", 0x21D2},   Named{"dArr", 0x21D3},    Named{"hArr", 0x21D4},   Named{"forall", 0x2200},
    Named{"part", 0x2202},   Named{"exist", 0x2203},   Named{"empty", 0x2205},  Named{"nabla", 0x2207},
    Named{"isin", 0x2208},   Named{"notin", 0x2209},   Named{"ni", 0x220B},     Named{"prod", 0x220F},
    Named{"sum", 0x2211},    Named{"minus", 0x2212},   Named{"lowast", 0x2217}, Named{"radic", 0x221A},
    Named{"prop", 0x221D},   Named{"infin", 0x221E},   Named{"ang", 0x2220},    Named{"and", 0x2227},
    Named{"or", 0x2228},     Named{"cap", 0x2229},     Named{"cup", 0x222A},    Named{"int", 0x222B},
    Named{"there4", 0x2234}, Named{"sim", 0x223C},     Named{"cong", 0x2245},   Named{"asymp", 0x2248},
    Named{"ne", 0x2260},     Named{"equiv", 0x2261},   Named{"le", 0x2264},     Named{"ge", 0x2265},
    Named{"sub", 0x2282},    Named{"sup", 0x2283},     Named{"nsub", 0x2284},   Named{"sube", 0x2286},
    Named{"supe", 0x2287},   Named{"oplus", 0x2295},   Named{"otimes", 0x2297}, Named{"perp", 0x22A5},
    Named{"sdot", 0x22C5},   Named{"lceil", 0x2308},   Named{"rceil", 0x2309},  Named{"lfloor", 0x230A},
    Named{"rfloor", 0x230B}, Named{"lang", 0x27E8},    Named{"rang", 0x27E9},   Named{"loz", 0x25CA},
    Named{"spades", 0x2660}, Named{"clubs", 0x2663},   Named{"hearts", 0x2665}, Named{"diams", 0x2666},
};

const std::unordered_map<std::string_view, char32_t>& names() {
  static const std::unordered_map<std::string_view, char32_t> all = [] {
    std::unordered_map<std::string_view, char32_t> map;
    for (size_t i = 0; i < kLatin1.size(); ++i) map.emplace(kLatin1[i], static_cast<char32_t>(0xA0 + i));
    for (size_t i = 0; i < kGreek.size(); ++i)
      if (!kGreek[i].empty()) map.emplace(kGreek[i], static_cast<char32_t>(0x391 + i));
    for (const Named& other : kOthers) map.emplace(other.name, other.code_point);
    return map;
  }();
  return all;
}

// What pages mean by the numbers 128 to 159: windows-1252.
constexpr std::array<char16_t, 32> kWindows1252{
    0x20AC, 0xFFFD, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0xFFFD, 0x017D, 0xFFFD, 0xFFFD, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0xFFFD, 0x017E, 0x0178};

char32_t sound(char32_t c) {
  if (c >= 0x80 && c < 0xA0) return kWindows1252[c - 0x80];
  if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return utf8::kReplacement;
  return c;
}

int digit_of(char c, int base) {
  int digit = -1;
  if (c >= '0' && c <= '9') digit = c - '0';
  if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
  if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
  return digit < base ? digit : -1;
}

size_t decode_number(std::string_view text, size_t offset, std::string& out) {
  size_t i = offset + 2;
  const int base = i < text.size() && (text[i] == 'x' || text[i] == 'X') ? 16 : 10;
  if (base == 16) ++i;
  const size_t first = i;
  char32_t value = 0;
  for (; i < text.size() && digit_of(text[i], base) >= 0; ++i)
    if (value <= 0x10FFFF)
      value = value * static_cast<char32_t>(base) + static_cast<char32_t>(digit_of(text[i], base));
  if (i == first) return 0;
  utf8::append(out, sound(value));
  if (i < text.size() && text[i] == ';') ++i;
  return i - offset;
}

}  // namespace

size_t decode_entity(std::string_view text, size_t offset, std::string& out) {
  if (offset + 1 < text.size() && text[offset + 1] == '#') return decode_number(text, offset, out);
  size_t end = offset + 1;
  while (end < text.size() && end - offset < 12 &&
         ((text[end] >= 'a' && text[end] <= 'z') || (text[end] >= 'A' && text[end] <= 'Z') ||
          digit_of(text[end], 10) >= 0))
    ++end;
  const auto found = names().find(text.substr(offset + 1, end - offset - 1));
  if (found == names().end()) return 0;
  const bool closed = end < text.size() && text[end] == ';';
  // Without ";" only the oldest names count, as in browsers: "&copy 2020", but not "&sub=1" of an address.
  if (!closed && found->second > 0xFF) return 0;
  if (!closed && end < text.size() && text[end] == '=') return 0;
  utf8::append(out, found->second);
  return end - offset + (closed ? 1 : 0);
}

}  // namespace lectern
