#include "agent/text_terms.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "base/utf8.h"

namespace lectern {
namespace {

// Function words of English, and the pairs of Chinese function characters, that say nothing about a claim.
constexpr std::array<std::string_view, 117> kFunctionWords = {
    "a",       "about",   "after",   "all",    "also",    "an",     "and",   "any",   "are",       "as",
    "at",      "be",      "been",    "being",  "but",     "by",     "can",   "could", "did",       "do",
    "does",    "doe",     "for",     "from",   "had",     "has",    "have",  "he",    "her",       "his",
    "how",     "i",       "if",      "in",     "into",    "is",     "it",    "its",   "like",      "may",
    "might",   "more",    "most",    "must",   "my",      "no",     "not",   "of",    "on",        "or",
    "other",   "our",     "out",     "over",   "she",     "should", "so",    "some",  "such",      "than",
    "that",    "the",     "their",   "them",   "then",    "there",  "these", "they",  "this",      "those",
    "through", "to",      "too",     "under",  "until",   "up",     "us",    "was",   "we",        "were",
    "what",    "when",    "where",   "which",  "while",   "who",    "whom",  "whose", "why",       "will",
    "with",    "would",   "you",     "your",   "de",      "des",    "die",   "der",   "das",       "und",
    "la",      "le",      "les",     "el",     "los",     "et",     "ein",   "eine",  "according", "although",
    "before",  "besides", "despite", "during", "however", "since",  "though"};
constexpr std::u32string_view kHanFunction =
    U"的了是在和与有什么哪个些谁为多少几何怎样如吗呢其及被所之于上中下从到对以而且或但也都就这那它他她们不";
constexpr std::array<std::string_view, 13> kNumberWords = {"zero", "one",    "two",   "three", "four",
                                                           "five", "six",    "seven", "eight", "nine",
                                                           "ten",  "eleven", "twelve"};
// "18 Jan" is "18 January". Not those that are words or names themselves: "mar", "may".
constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kMonths = {{{"jan", "january"},
                                                                                    {"feb", "february"},
                                                                                    {"apr", "april"},
                                                                                    {"jun", "june"},
                                                                                    {"jul", "july"},
                                                                                    {"aug", "august"},
                                                                                    {"sept", "september"},
                                                                                    {"oct", "october"},
                                                                                    {"nov", "november"},
                                                                                    {"dec", "december"}}};
constexpr std::array<std::string_view, 23> kAbbreviations = {
    "mr",  "mrs", "ms",  "dr",  "prof", "st", "jr",  "sr",     "vs", "etc", "eg", "ie",
    "inc", "ltd", "gen", "col", "capt", "lt", "rev", "approx", "ca", "cf",  "al"};
// Abbreviations only before a number: "No. 5", but "She said no."
constexpr std::array<std::string_view, 9> kNumberAbbreviations = {"no", "nos", "fig", "figs", "vol",
                                                                  "pp", "p",   "art", "sec"};

bool contains_word(const auto& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool in(char32_t c, char32_t first, char32_t last) {
  return c >= first && c <= last;
}
bool is_digit(char32_t c) {
  return in(c, '0', '9');
}

// Light English stemming: enough to let "surrendered" meet "surrender".
void stem(std::string& word) {
  const auto ends = [&](std::string_view tail) {
    return word.size() >= tail.size() + 3 && std::string_view(word).substr(word.size() - tail.size()) == tail;
  };
  if (ends("ies")) {
    word.replace(word.size() - 3, 3, "y");
  } else if (ends("sses")) {
    word.resize(word.size() - 2);
  } else if (ends("s") && !ends("ss") && !ends("us") && !ends("is")) {
    word.resize(word.size() - 1);
  }
  if (ends("ing")) {
    word.resize(word.size() - 3);
  } else if (ends("ed")) {
    word.resize(word.size() - 2);
  }
  if (ends("e")) word.resize(word.size() - 1);
}

void add_word(std::string word, bool has_digit, bool capital, std::vector<SupportTerm>& out) {
  if (contains_word(kFunctionWords, word)) return;
  const auto number = std::find(kNumberWords.begin(), kNumberWords.end(), word);
  if (number != kNumberWords.end()) {
    out.push_back({std::to_string(number - kNumberWords.begin()), true});
    return;
  }
  for (const auto& [abbreviation, month] : kMonths)
    if (word == abbreviation) word = month;
  if (!has_digit) stem(word);
  out.push_back({std::move(word), has_digit || capital});
}

// "一九五五" at `i` is "1955", and its length in bytes; "" for fewer than three digits, which may be words.
std::pair<std::string, size_t> han_digits_at(std::string_view text, size_t i) {
  constexpr std::u32string_view kZero = U"〇零", kDigits = U"一二三四五六七八九";
  constexpr size_t kMinDigits = 3;
  std::string digits;
  size_t length = 0;
  while (i + length < text.size()) {
    const utf8::Decoded d = utf8::decode(text, i + length);
    const size_t digit = kDigits.find(d.code_point);
    if (digit != std::u32string_view::npos) {
      digits += static_cast<char>('1' + digit);
    } else if (kZero.find(d.code_point) != std::u32string_view::npos) {
      digits += '0';
    } else {
      break;
    }
    length += d.length;
  }
  if (digits.size() < kMinDigits) return {};
  return {digits, length};
}

void add_unspaced_run(const std::u32string& run, std::vector<SupportTerm>& out) {
  const auto is_function = [](char32_t c) { return kHanFunction.find(c) != std::u32string_view::npos; };
  const auto add = [&](std::u32string_view characters) {
    if (std::all_of(characters.begin(), characters.end(), is_function)) return;
    SupportTerm term;
    for (const char32_t c : characters) utf8::append(term.text, c);
    out.push_back(std::move(term));
  };
  if (run.size() == 1) add(run);
  for (size_t i = 0; i + 1 < run.size(); ++i) add(std::u32string_view(run).substr(i, 2));
}

// The folded word that ends right before byte `end`.
std::string word_before(std::string_view text, size_t end) {
  size_t begin = end;
  while (begin > 0 && (static_cast<uint8_t>(text[begin - 1]) >= 0x80 ||
                       is_word_character(static_cast<uint8_t>(text[begin - 1])))) {
    if (end - begin >= 24) break;
    --begin;
  }
  return ascii_lower(std::string(text.substr(begin, end - begin)));
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Zero-width characters, marks of direction, tags.
bool is_unseen(char32_t c) {
  return c == 0xAD || in(c, 0x200B, 0x200F) || in(c, 0x202A, 0x202E) || in(c, 0x2060, 0x2069) ||
         c == 0xFEFF || in(c, 0xE0000, 0xE007F);
}

// Of any width, tabs and line ends too.
bool is_any_blank(char32_t c) {
  return c == ' ' || in(c, '\t', '\r') || c == 0x85 || c == 0xA0 || c == 0x1680 || in(c, 0x2000, 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// "12." at the beginning of a line numbers an item.
bool is_item_number(std::string_view text, size_t end) {
  size_t begin = end;
  while (begin > 0 && end - begin < 3 && is_digit(static_cast<uint8_t>(text[begin - 1]))) --begin;
  return begin < end && (begin == 0 || text[begin - 1] == '\n');
}

// "14. Oktober": `word` is the one before the full stop at `i`.
bool is_german_day(std::string_view text, size_t i, std::string_view word) {
  static constexpr auto kGermanMonths =
      std::to_array<std::string_view>({"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August",
                                       "September", "Oktober", "November", "Dezember"});
  if (word.empty() || word.size() > 2 || !is_digit(static_cast<uint8_t>(word.back()))) return false;
  return std::any_of(kGermanMonths.begin(), kGermanMonths.end(), [&](std::string_view month) {
    return text.substr(i + 1).starts_with(" " + std::string(month));
  });
}

// The line that starts at `i` opens a heading, a list item, a table row or a quotation.
bool opens_block(std::string_view text, size_t i) {
  while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) ++i;
  if (i >= text.size() || text[i] == '\n') return true;
  if (std::string_view("#-*+|>").find(text[i]) != std::string_view::npos) return true;
  size_t digits = i;
  while (digits < text.size() && is_digit(static_cast<uint8_t>(text[digits]))) ++digits;
  // A year at the beginning of a line that was wrapped numbers nothing.
  return digits > i && digits - i <= 3 && digits < text.size() &&
         (text[digits] == '.' || text[digits] == ')');
}

// A line break ends the sentence when the next line opens a block, or the line itself is a heading or a row.
bool line_break_ends_sentence(std::string_view text, size_t line_begin, size_t newline) {
  if (opens_block(text, newline + 1)) return true;
  const char first = line_begin < text.size() ? text[line_begin] : '\n';
  return first == '#' || first == '|';
}

// Cuts [begin, end) into parts of at most max_bytes at the last clause mark or blank that fits.
void add_bounded(std::string_view text, size_t begin, size_t end, size_t max_bytes,
                 std::vector<TextRange>& out) {
  while (begin < end) {
    size_t cut = end;
    if (end - begin > max_bytes) {
      cut = begin + utf8::prefix(text.substr(begin), max_bytes).size();
      size_t clause = 0, blank = 0;
      for (size_t i = begin + max_bytes / 3; i < cut; ++i) {
        if (text[i] == ';' || text[i] == ',') clause = i + 1;
        if (text.substr(i, 3) == "；" || text.substr(i, 3) == "，" || text.substr(i, 3) == "、")
          clause = i + 3;
        if (is_blank(text[i])) blank = i;
      }
      if (clause > begin && clause <= cut) {
        cut = clause;
      } else if (blank > begin) {
        cut = blank;
      }
    }
    size_t b = begin, e = cut;
    while (b < e && is_blank(text[b])) ++b;
    while (e > b && is_blank(text[e - 1])) --e;
    if (e > b) out.push_back({b, e});
    begin = cut;
  }
}

}  // namespace

bool holds_any(std::string_view text, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

char32_t fold_case(char32_t c) {
  if (in(c, 'A', 'Z') || in(c, 0x391, 0x3A9) || in(c, 0x410, 0x42F)) return c + 32;
  if (in(c, 0xC0, 0xDE) && c != 0xD7) return c + 32;
  if (in(c, 0x100, 0x17F) && c != 0x130 && c != 0x138) {
    const bool odd_is_upper = in(c, 0x139, 0x148) || in(c, 0x179, 0x17E);
    return (c % 2 == 1) == odd_is_upper ? c + 1 : c;
  }
  if (in(c, 0x400, 0x40F)) return c + 80;
  if (in(c, 0x1EA0, 0x1EF9)) return c % 2 == 0 ? c + 1 : c;  // Vietnamese
  if (in(c, 0xFF10, 0xFF19) || in(c, 0xFF41, 0xFF5A)) return c - 0xFEE0;
  if (in(c, 0xFF21, 0xFF3A)) return c - 0xFEE0 + 32;
  return c;
}

std::string words_apart(std::string_view flat) {
  std::string out = " ";
  for (const char c : flat) {
    const bool word =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
    if (word) {
      out += c;
    } else if (out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.back() != ' ') out += ' ';
  return out;
}

bool holds_word(std::string_view apart, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return apart.find(" " + std::string(word) + " ") != std::string_view::npos;
  });
}

std::string flatten(std::string_view text) {
  std::string out;
  bool blank = false, after_unspaced = false;
  for (size_t i = 0; i < text.size();) {
    const utf8::Decoded d = utf8::decode(text, i);
    i += d.length;
    if (is_unseen(d.code_point)) continue;
    if (is_any_blank(d.code_point)) {
      blank = true;
      continue;
    }
    const bool unspaced = is_unspaced_script(d.code_point);
    if (blank && !out.empty() && !(after_unspaced && unspaced)) out.push_back(' ');
    utf8::append(out, fold_case(d.code_point));
    after_unspaced = unspaced;
    blank = false;
  }
  return out;
}

bool is_unspaced_script(char32_t c) {
  return in(c, 0x3400, 0x9FFF) || in(c, 0x3041, 0x30FF) || in(c, 0xF900, 0xFAFF) || in(c, 0x20000, 0x3FFFF) ||
         in(c, 0xE00, 0xEFF) || in(c, 0x1000, 0x109F) || in(c, 0x1780, 0x17FF) || c == 0x3005;
}

bool is_word_character(char32_t c) {
  if (c < 0x80) return is_digit(c) || in(c, 'a', 'z') || in(c, 'A', 'Z');
  if (c < 0xC0) return c == 0xAA || c == 0xB5 || c == 0xBA;
  if (c == 0xD7 || c == 0xF7 || c == utf8::kReplacement) return false;
  if (in(c, 0x2000, 0x2BFF) || in(c, 0x3000, 0x3004) || in(c, 0x3006, 0x3040)) return false;
  if (in(c, 0xFE10, 0xFE6F) || in(c, 0xFF00, 0xFF0F) || in(c, 0xFF1A, 0xFF20)) return false;
  if (in(c, 0xFF3B, 0xFF40) || in(c, 0xFF5B, 0xFF65) || in(c, 0x1F000, 0x1FAFF)) return false;
  return c != 0x30FB;  // the middle dot between foreign names
}

bool ends_sentence(std::string_view text, size_t i) {
  const utf8::Decoded mark = utf8::decode(text, i);
  if (mark.code_point == U'。' || mark.code_point == U'！' || mark.code_point == U'？' ||
      mark.code_point == U'।')
    return true;
  if (mark.code_point != '.' && mark.code_point != '!' && mark.code_point != '?') return false;
  size_t next = i + 1;
  while (next < text.size() &&
         (text[next] == '"' || text[next] == '\'' || text[next] == ')' || text[next] == '*'))
    ++next;
  if (next < text.size() && !is_blank(text[next]) && text[next] != '[' && text.substr(next, 3) != "”" &&
      text.substr(next, 3) != "【") {
    return false;
  }
  if (mark.code_point != '.') return true;
  const std::string word = word_before(text, i);
  if (contains_word(kAbbreviations, word)) return false;
  if (contains_word(kNumberAbbreviations, word)) {
    const size_t following = text.find_first_not_of(' ', i + 1);
    if (following != std::string_view::npos && is_digit(static_cast<uint8_t>(text[following]))) return false;
  }
  if (word.size() == 1 && i > 0) {
    const bool initial = text[i - 1] >= 'A' && text[i - 1] <= 'Z';
    const bool dotted = i > 1 && text[i - 2] == '.';  // the end of "e.g." or "a.m."
    if (initial || dotted) return false;
  }
  return !is_item_number(text, i) && !is_german_day(text, i, word);
}

std::vector<TextRange> split_sentences(std::string_view text, size_t max_bytes) {
  std::vector<TextRange> out;
  size_t begin = 0, line_begin = 0;
  const auto close = [&](size_t end) {
    add_bounded(text, begin, end, max_bytes, out);
    begin = end;
  };
  for (size_t i = 0; i < text.size();) {
    const utf8::Decoded d = utf8::decode(text, i);
    if (d.code_point == '\n') {
      if (line_break_ends_sentence(text, line_begin, i)) close(i);
      line_begin = i + 1;
    } else if (ends_sentence(text, i)) {
      size_t end = i + d.length;
      while (end < text.size()) {  // closing quotes and brackets belong to the sentence
        const char32_t c = utf8::decode(text, end).code_point;
        if (c != '"' && c != '\'' && c != ')' && c != U'”' && c != U'’' && c != U'」' && c != U'）') break;
        end += utf8::decode(text, end).length;
      }
      close(end);
      i = end;
      continue;
    }
    i += d.length;
  }
  close(text.size());
  return out;
}

bool ends_in_question_mark(std::string_view text) {
  return text.ends_with("?") || text.ends_with("？");
}

std::string_view number_word(std::string_view digits) {
  for (size_t n = 0; n < kNumberWords.size(); ++n)
    if (digits == std::to_string(n)) return kNumberWords[n];
  return {};
}

std::vector<SupportTerm> support_terms(std::string_view text) {
  std::vector<SupportTerm> out;
  std::string word;
  std::u32string run;
  bool has_digit = false, capital = false;
  const auto flush = [&] {
    if (!word.empty()) add_word(word, has_digit, capital, out);
    if (!run.empty()) add_unspaced_run(run, out);
    word.clear(), run.clear(), has_digit = capital = false;
  };
  for (size_t i = 0; i < text.size();) {
    const utf8::Decoded d = utf8::decode(text, i);
    const char32_t c = fold_case(d.code_point);
    const bool digit = is_digit(c);
    if (const auto [digits, length] = han_digits_at(text, i); !digits.empty()) {
      flush();
      out.push_back({digits, true});
      i += length;
      continue;
    }
    if (is_unspaced_script(c)) {
      if (!word.empty()) flush();
      run.push_back(c);
    } else if (is_word_character(c)) {
      // Digits beside unspaced script stand alone: "1998年" is "1998" and a run.
      if (!run.empty()) flush();
      if (word.empty()) capital = c != d.code_point && !digit;
      has_digit |= digit;
      utf8::append(word, c);
    } else if (c == ' ' && !run.empty()) {
      // "最 常见" is one run: typesetting sets blanks within words.
    } else if (has_digit && (c == ',' || c == '.') && i + 1 < text.size() &&
               is_digit(static_cast<uint8_t>(text[i + 1]))) {
      if (c == '.') word.push_back('.');  // 1,250 is 1250; 3.5 stays
    } else if ((c == '\'' || c == U'’') && !word.empty()) {
      // "Ada's" is "Ada" and a lone s, which is dropped below.
      flush();
      const size_t after = i + d.length;
      if (after < text.size() && text[after] == 's' &&
          (after + 1 == text.size() || !is_word_character(utf8::decode(text, after + 1).code_point))) {
        i = after + 1;
        continue;
      }
    } else {
      flush();
    }
    i += d.length;
  }
  flush();
  return out;
}

}  // namespace lectern
