#include "engine/tokenizer_normalize.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"

namespace lectern {
namespace {

// ICU inserts combining marks one by one in their canonical order, which is quadratic in the length of a run.
// Longer runs than this, which no language has, are sorted before ICU sees them.
constexpr size_t kLongRun = 64;

// The reference normalises with the tables of Unicode 9: younger characters neither move nor compose.
constexpr uint8_t kReferenceUnicodeVersion = 9;

const icu::Normalizer2& reference_nfc() {
  static const icu::Normalizer2& instance = [&]() -> const icu::Normalizer2& {
    static icu::UnicodeSet known;
    UErrorCode status = U_ZERO_ERROR;
    known.applyPropertyAlias("Age", icu::UnicodeString(kReferenceUnicodeVersion + u'0'), status);
    known.freeze();
    const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
    if (U_FAILURE(status))
      throw Error(ErrorCode::kUnavailable, std::string("ICU has no normalisation data (") +
                                               u_errorName(status) + "); reinstall libicu");
    static const icu::FilteredNormalizer2 filtered(*nfc, known);
    return filtered;
  }();
  return instance;
}

uint8_t combining_class(char32_t c) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(c), age);
  return age[0] <= kReferenceUnicodeVersion ? u_getCombiningClass(static_cast<UChar32>(c)) : uint8_t{0};
}

struct Mark {
  char32_t code_point;
  uint8_t combining_class;
};

// Appends the marks `c` stands for; false when it is not a combining mark. U+0F73, U+0F75 and U+0F81 are
// starters by their class but decompose into marks.
bool append_marks(char32_t c, std::vector<Mark>& marks) {
  auto append = [&](char32_t mark) { marks.push_back({mark, combining_class(mark)}); };
  switch (c) {
    case 0x0F73:
      append(0x0F71);
      append(0x0F72);
      return true;
    case 0x0F75:
      append(0x0F71);
      append(0x0F74);
      return true;
    case 0x0F81:
      append(0x0F71);
      append(0x0F80);
      return true;
    default:
      if (combining_class(c) == 0) return false;
      append(c);
      return true;
  }
}

bool has_long_run(std::string_view text) {
  std::vector<Mark> run;
  for (size_t offset = 0; offset < text.size();) {
    const utf8::Decoded decoded = utf8::decode(text, offset);
    if (decoded.code_point < 0x300 || !append_marks(decoded.code_point, run)) run.clear();
    if (run.size() > kLongRun) return true;
    offset += decoded.length;
  }
  return false;
}

// A canonically equivalent text in which long runs of combining marks are in canonical order.
std::string sort_long_runs(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  std::vector<Mark> marks;
  size_t run_begin = 0;
  auto end_run = [&](size_t offset) {
    if (marks.size() <= kLongRun) {
      result.append(text.substr(run_begin, offset - run_begin));
    } else {
      std::stable_sort(marks.begin(), marks.end(),
                       [](const Mark& a, const Mark& b) { return a.combining_class < b.combining_class; });
      for (const Mark& mark : marks) utf8::append(result, mark.code_point);
    }
    marks.clear();
  };
  for (size_t offset = 0; offset < text.size();) {
    const utf8::Decoded decoded = utf8::decode(text, offset);
    if (!append_marks(decoded.code_point, marks)) {
      end_run(offset);
      result.append(text.substr(offset, decoded.length));
      run_begin = offset + decoded.length;
    }
    offset += decoded.length;
  }
  end_run(text.size());
  return result;
}

}  // namespace

std::string_view normalize(std::string_view text, std::string& storage) {
  // ASCII is well-formed and normalised.
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; }))
    return text;
  if (!utf8::is_valid(text)) {
    storage = utf8::repair(text);
    text = storage;
  }
  UErrorCode status = U_ZERO_ERROR;
  auto piece = [](std::string_view view) {
    return icu::StringPiece(view.data(), static_cast<int32_t>(view.size()));
  };
  if (has_long_run(text)) {
    storage = sort_long_runs(text);
    text = storage;
  }
  if (reference_nfc().isNormalizedUTF8(piece(text), status) && U_SUCCESS(status)) return text;

  std::string composed;
  composed.reserve(text.size());
  icu::StringByteSink<std::string> sink(&composed);
  reference_nfc().normalizeUTF8(0, piece(text), sink, nullptr, status);
  if (U_FAILURE(status))
    throw Error(ErrorCode::kResourceExhausted,
                std::string("cannot bring the text into NFC: ") + u_errorName(status));
  storage = std::move(composed);
  return storage;
}

}  // namespace lectern
