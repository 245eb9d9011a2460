#include "retrieval/text_borders.h"

#include <unicode/brkiter.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/utf8.h"

namespace lectern {
namespace {

// How far beyond a border Unicode's rules look: far enough for "etc." before a lower-case word.
constexpr size_t kLookaheadBytes = 64;

int32_t grapheme_class(char32_t c) {
  return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_GRAPHEME_CLUSTER_BREAK);
}

bool extends(int32_t c) {
  return c == U_GCB_EXTEND || c == U_GCB_SPACING_MARK || c == U_GCB_ZWJ;
}

bool is_hangul(int32_t c) {
  return c == U_GCB_L || c == U_GCB_V || c == U_GCB_T || c == U_GCB_LV || c == U_GCB_LVT;
}

// The start of the code point that ends at `offset` > 0.
size_t previous_offset(std::string_view text, size_t offset) {
  size_t begin = offset - 1;
  while (begin > 0 && offset - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  return begin + utf8::decode(text, begin).length == offset ? begin : offset - 1;
}

bool is_inside_code_point(std::string_view text, size_t offset) {
  if ((static_cast<uint8_t>(text[offset]) & 0xC0) != 0x80) return false;
  for (size_t back = 1; back <= 3 && back <= offset; ++back) {
    const utf8::Decoded decoded = utf8::decode(text, offset - back);
    if (decoded.valid) return decoded.length > back;
  }
  return false;
}

char32_t code_point_before(std::string_view text, size_t offset) {
  return utf8::decode(text, previous_offset(text, offset)).code_point;
}

size_t align(std::string_view text, size_t offset) {
  for (int back = 0; back < 3 && offset > 0 && offset < text.size(); ++back, --offset)
    if ((static_cast<uint8_t>(text[offset]) & 0xC0) != 0x80) break;
  return std::min(offset, text.size());
}

// One iterator of a kind a thread, moved from window to window.
class Iterator {
 public:
  explicit Iterator(icu::BreakIterator* (*create)(const icu::Locale&, UErrorCode&)) {
    UErrorCode status = U_ZERO_ERROR;
    breaks_.reset(create(icu::Locale::getRoot(), status));
    if (U_FAILURE(status))
      throw Error(ErrorCode::kUnavailable, std::string("ICU has no break rules: ") + u_errorName(status));
  }
  ~Iterator() {
    breaks_.reset();
    utext_close(&text_);
  }
  Iterator(const Iterator&) = delete;
  Iterator& operator=(const Iterator&) = delete;

  icu::BreakIterator& over(std::string_view window) {
    UErrorCode status = U_ZERO_ERROR;
    utext_openUTF8(&text_, window.data(), static_cast<int64_t>(window.size()), &status);
    breaks_->setText(&text_, status);
    if (U_FAILURE(status)) throw Error(ErrorCode::kUnavailable, std::string("ICU: ") + u_errorName(status));
    return *breaks_;
  }

 private:
  UText text_ = UTEXT_INITIALIZER;
  std::unique_ptr<icu::BreakIterator> breaks_;
};

// The last border of `breaks` in [floor, end] that `accept` takes. Borders are looked up in a window that
// reaches a little beyond `end`; the window's own end is no border.
template <typename Accept>
size_t last_border(Iterator& iterator, std::string_view text, size_t floor, size_t end, Accept accept) {
  const size_t begin = align(text, floor > kLookaheadBytes ? floor - kLookaheadBytes : 0);
  const size_t stop = align(text, std::min(text.size(), end + kLookaheadBytes));
  icu::BreakIterator& breaks = iterator.over(text.substr(begin, stop - begin));
  for (int32_t b = breaks.preceding(static_cast<int32_t>(end - begin) + 1);
       b != icu::BreakIterator::DONE && b > 0; b = breaks.previous()) {
    const size_t offset = begin + static_cast<size_t>(b);
    if (offset < floor) break;
    if (offset <= end && (offset < stop || stop == text.size()) && accept(offset) &&
        is_plain_border(text, offset))
      return offset;
  }
  return 0;
}

// Cheap: could a sentence end in here at all?
bool holds_terminator(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return c == '.' || c == '?' || c == '!' || static_cast<uint8_t>(c) >= 0xC2;
  });
}

}  // namespace

bool is_plain_border(std::string_view text, size_t offset) {
  if (offset == 0 || offset >= text.size()) return true;
  const auto left = static_cast<uint8_t>(text[offset - 1]);
  const auto right = static_cast<uint8_t>(text[offset]);
  if (left < 0x80 && right < 0x80) return !(left == '\r' && right == '\n');
  if (is_inside_code_point(text, offset)) return false;
  const int32_t before = grapheme_class(code_point_before(text, offset));
  const int32_t after = grapheme_class(utf8::decode(text, offset).code_point);
  if (before == U_GCB_CONTROL || before == U_GCB_LF || before == U_GCB_CR) return true;
  if (extends(after) || before == U_GCB_ZWJ || before == U_GCB_PREPEND) return false;
  if (is_hangul(after))
    return !is_hangul(before) || (after != U_GCB_V && after != U_GCB_T && before != U_GCB_L);
  return !(after == U_GCB_REGIONAL_INDICATOR && before == U_GCB_REGIONAL_INDICATOR);
}

size_t blank_length(std::string_view text, size_t offset) {
  const auto byte = static_cast<uint8_t>(text[offset]);
  size_t length = 1;
  if (byte < 0x80) {
    if (byte == '\n' || byte == '\r' || byte == '\t' || byte == '\f' || byte == '\v') return 1;
    if (byte != ' ') return 0;
  } else {
    const utf8::Decoded decoded = utf8::decode(text, offset);
    if (!decoded.valid || !u_isUWhiteSpace(static_cast<UChar32>(decoded.code_point))) return 0;
    length = decoded.length;
  }
  return is_plain_border(text, offset) && is_plain_border(text, offset + length) ? length : 0;
}

size_t skip_blank(std::string_view text, size_t offset) {
  while (offset < text.size()) {
    const size_t length = blank_length(text, offset);
    if (length == 0) break;
    offset += length;
  }
  return offset;
}

bool sentence_runs_on(std::string_view text, size_t line_begin, size_t first) {
  const auto next = static_cast<UChar32>(utf8::decode(text, first).code_point);
  // Han and kana stand for scripts that are wrapped anywhere.
  if (!u_islower(next) && !u_hasBinaryProperty(next, UCHAR_IDEOGRAPHIC) &&
      !(next >= 0x3041 && next <= 0x30FF))
    return false;
  size_t end = line_begin;
  for (int steps = 0; steps < 8 && end > 0; ++steps) {
    const size_t begin = previous_offset(text, end);
    const auto last = static_cast<UChar32>(utf8::decode(text, begin).code_point);
    const bool closes = u_charType(last) == U_END_PUNCTUATION || u_charType(last) == U_FINAL_PUNCTUATION;
    if (!u_isUWhiteSpace(last) && !closes && last != '"' && last != '\'')
      return !u_hasBinaryProperty(last, UCHAR_S_TERM) && last != ':' && last != 0xFF1A && last != '|';
    end = begin;
  }
  return true;
}

size_t last_sentence_border(std::string_view text, size_t floor, size_t end) {
  if (!holds_terminator(text.substr(floor, end - floor))) return 0;
  thread_local Iterator iterator(icu::BreakIterator::createSentenceInstance);
  return last_border(iterator, text, floor, end,
                     [&](size_t offset) { return text[offset - 1] != '\n' && text[offset - 1] != '\r'; });
}

size_t last_word_border(std::string_view text, size_t floor, size_t end) {
  thread_local Iterator iterator(icu::BreakIterator::createLineInstance);
  return last_border(iterator, text, floor, end, [](size_t) { return true; });
}

size_t last_grapheme_border(std::string_view text, size_t begin, size_t end) {
  if (end > begin && is_plain_border(text, end)) return end;
  thread_local Iterator iterator(icu::BreakIterator::createCharacterInstance);
  const size_t stop = align(text, std::min(text.size(), end + kLookaheadBytes));
  icu::BreakIterator& breaks = iterator.over(text.substr(begin, stop - begin));
  const int32_t border = breaks.preceding(static_cast<int32_t>(end - begin) + 1);
  return border == icu::BreakIterator::DONE || border <= 0 ? 0 : begin + static_cast<size_t>(border);
}

}  // namespace lectern
