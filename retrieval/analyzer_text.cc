#include "retrieval/analyzer_text.h"

#include <unicode/brkiter.h>
#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>
#include <unicode/translit.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/uversion.h>

#include <array>
#include <atomic>
#include <mutex>

#include "base/error.h"
#include "base/utf8.h"

namespace lectern {
namespace {

void check_icu(UErrorCode status, const char* what) {
  if (U_FAILURE(status))
    throw Error(ErrorCode::kUnsupported, std::string("ICU cannot load ") + what + ": " + u_errorName(status) +
                                             "; is its data package (libicu) complete?");
}

Script script_of(char32_t c) {
  UErrorCode status = U_ZERO_ERROR;
  switch (uscript_getScript(static_cast<UChar32>(c), &status)) {
    case USCRIPT_COMMON:
    case USCRIPT_INHERITED:
      return Script::kCommon;
    case USCRIPT_LATIN:
      return Script::kLatin;
    case USCRIPT_GREEK:
      return Script::kGreek;
    case USCRIPT_CYRILLIC:
      return Script::kCyrillic;
    case USCRIPT_ARABIC:
      return Script::kArabic;
    case USCRIPT_HEBREW:
      return Script::kHebrew;
    case USCRIPT_DEVANAGARI:
      return Script::kDevanagari;
    case USCRIPT_ARMENIAN:
      return Script::kArmenian;
    case USCRIPT_TAMIL:
      return Script::kTamil;
    case USCRIPT_HAN:
    case USCRIPT_BOPOMOFO:
      return Script::kHan;
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
    case USCRIPT_KATAKANA_OR_HIRAGANA:
      return Script::kKana;
    case USCRIPT_HANGUL:
      return Script::kHangul;
    case USCRIPT_THAI:
      return Script::kThai;
    case USCRIPT_LAO:
      return Script::kLao;
    case USCRIPT_KHMER:
      return Script::kKhmer;
    case USCRIPT_MYANMAR:
      return Script::kMyanmar;
    default:
      return Script::kUnknown;
  }
}

CharClass class_of(char32_t c, Script script) {
  const auto u = static_cast<UChar32>(c);
  const auto word_break = u_getIntPropertyValue(u, UCHAR_WORD_BREAK);
  const bool mark = (U_GET_GC_MASK(u) & U_GC_M_MASK) != 0;
  if (u_charDigitValue(u) >= 0 && u_charType(u) == U_DECIMAL_DIGIT_NUMBER) return CharClass::kDigit;
  if (mark && script == Script::kCommon) return CharClass::kMark;
  const bool letter = u_isalpha(u) || word_break == U_WB_KATAKANA;
  switch (script) {
    case Script::kHan:
    case Script::kKana:
      return letter || u_hasBinaryProperty(u, UCHAR_IDEOGRAPHIC) ? CharClass::kHanKana : CharClass::kOther;
    case Script::kHangul:
      return letter ? CharClass::kHangul : CharClass::kOther;
    case Script::kThai:
    case Script::kLao:
    case Script::kKhmer:
    case Script::kMyanmar:
      return letter || mark ? CharClass::kDictionary : CharClass::kOther;
    default:
      break;
  }
  if (word_break == U_WB_KATAKANA) return CharClass::kHanKana;  // the long vowel mark, of no single script
  if (mark) return CharClass::kMark;
  return letter || u_charType(u) == U_LETTER_NUMBER ? CharClass::kLetter : CharClass::kOther;
}

// Traditional Han to simplified for the page's characters. ICU's transliterator takes a while to load and is
// not to be shared, so it is asked once a page and kept behind a lock.
void simplify_page(char32_t first, std::array<CharInfo, 256>& page) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  static const std::unique_ptr<icu::Transliterator> transliterator = [] {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<icu::Transliterator> made(
        icu::Transliterator::createInstance("Hant-Hans", UTRANS_FORWARD, status));
    check_icu(status, "the Hant-Hans transliterator");
    return made;
  }();
  for (char32_t i = 0; i < 256; ++i) {
    icu::UnicodeString text(static_cast<UChar32>(first + i));
    transliterator->transliterate(text);
    if (text.countChar32() == 1) page[i].simple = static_cast<char32_t>(text.char32At(0));
  }
}

// Letters whose stroke or shape Unicode does not decompose, as people type them without it.
char32_t unstroked(char32_t c) {
  switch (c) {
    case U'ø':
      return U'o';
    case U'đ':
    case U'ð':
      return U'd';
    case U'ł':
      return U'l';
    case U'ħ':
      return U'h';
    case U'ŧ':
      return U't';
    case U'ı':
      return U'i';
    default:
      return c;
  }
}

char32_t without_diacritics(char32_t c, const CharInfo& info, const icu::Normalizer2& decomposer) {
  if (info.char_class == CharClass::kMark) {
    // Points and accents of no script or of scripts that are read without them; vowel signs of others stay.
    const bool goes = info.script == Script::kCommon || info.script == Script::kLatin ||
                      info.script == Script::kGreek || info.script == Script::kCyrillic ||
                      info.script == Script::kArabic || info.script == Script::kHebrew || c == 0x093C;
    if (c == 0x0901) return 0x0902;  // candrabindu and anusvara are written for each other
    return goes ? 0 : c;
  }
  if (info.char_class != CharClass::kLetter) return c;
  if (c == U'й' || c == U'ї' || c == U'ў') return c;  // letters of their own, though they decompose
  if (c == 0x0640) return 0;                          // tatweel only stretches a word
  if (c == 0x0649 || c == 0x06CC) return 0x064A;      // the yehs and kafs of Arabic and Persian keyboards
  if (c == 0x06A9) return 0x0643;
  if (info.script == Script::kLatin || info.script == Script::kGreek || info.script == Script::kCyrillic ||
      info.script == Script::kArabic || info.script == Script::kHebrew) {
    icu::UnicodeString decomposed;
    if (decomposer.getDecomposition(static_cast<UChar32>(c), decomposed))
      return unstroked(static_cast<char32_t>(decomposed.char32At(0)));
    return unstroked(c);
  }
  return c;
}

using Page = std::array<CharInfo, 256>;

const Page* make_page(char32_t first) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* decomposer = icu::Normalizer2::getNFDInstance(status);
  check_icu(status, "canonical decomposition");
  auto page = std::make_unique<Page>();
  bool any_han = false;
  for (char32_t i = 0; i < 256; ++i) {
    const char32_t c = first + i;
    CharInfo& info = (*page)[i];
    info.script = script_of(c);
    info.char_class = class_of(c, info.script);
    info.simple = c;
    if (info.char_class == CharClass::kDigit)
      info.simple = U'0' + static_cast<char32_t>(u_charDigitValue(static_cast<UChar32>(c)));
    if (c == 0x2019 || c == 0x02BC || c == 0x05F3) info.simple = U'\'';
    if (c == 0x2010) info.simple = U'-';
    if (info.simple == U'\'') info.char_class = CharClass::kOther;
    any_han = any_han || info.script == Script::kHan;
  }
  if (any_han) simplify_page(first, *page);
  for (CharInfo& info : *page) info.base = without_diacritics(info.simple, info, *decomposer);
  return page.release();
}

// Pages are built once and live as long as the process.
std::array<std::atomic<const Page*>, 0x1100> g_pages;

}  // namespace

const CharInfo& char_info(char32_t code_point) {
  std::atomic<const Page*>& slot = g_pages[code_point >> 8];
  const Page* page = slot.load(std::memory_order_acquire);
  if (page == nullptr) {
    const Page* made = make_page(code_point & ~char32_t{0xFF});
    if (slot.compare_exchange_strong(page, made, std::memory_order_acq_rel))
      page = made;
    else
      delete made;  // another thread was first
  }
  return (*page)[code_point & 0xFF];
}

struct FoldedText::Icu {
  const icu::Normalizer2* normalizer = nullptr;
  icu::Edits edits;
  std::string normalised;
};

FoldedText::FoldedText() : icu_(std::make_unique<Icu>()) {
  UErrorCode status = U_ZERO_ERROR;
  icu_->normalizer = icu::Normalizer2::getNFKCCasefoldInstance(status);
  check_icu(status, "NFKC_Casefold");
}
FoldedText::~FoldedText() = default;
FoldedText::FoldedText(FoldedText&&) noexcept = default;

void FoldedText::assign(std::string_view text) {
  LECTERN_CHECK(text.size() <= UINT32_MAX);
  characters_.clear();
  characters_.reserve(text.size());
  // ICU sees only stretches without ASCII spaces that hold other than ASCII; long ones in pieces, so that its
  // working memory stays small.
  constexpr size_t kPieceBytes = 16 * 1024;
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = begin;
    bool ascii = true;
    while (end < text.size() && text[end] != ' ' && text[end] != '\n' && end - begin < kPieceBytes)
      ascii &= static_cast<uint8_t>(text[end++]) < 0x80;
    if (end - begin == kPieceBytes)
      end = begin + (end - begin - utf8::incomplete_tail(text.substr(begin, end - begin)));
    if (ascii) {
      if (end < text.size() && end - begin < kPieceBytes) ++end;  // takes the separator along
      append_ascii(text, begin, end);
    } else {
      append_normalised(text, begin, end);
    }
    begin = end;
  }
}

void FoldedText::append_ascii(std::string_view text, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) append(static_cast<uint8_t>(text[i]), i, i + 1);
}

void FoldedText::append_normalised(std::string_view text, size_t begin, size_t end) {
  UErrorCode status = U_ZERO_ERROR;
  icu_->normalised.clear();
  icu_->edits.reset();
  icu::StringByteSink<std::string> sink(&icu_->normalised);
  icu_->normalizer->normalizeUTF8(0, icu::StringPiece(text.data() + begin, static_cast<int32_t>(end - begin)),
                                  sink, &icu_->edits, status);
  check_icu(status, "NFKC_Casefold");
  const std::string& normalised = icu_->normalised;
  for (auto edit = icu_->edits.getFineIterator(); edit.next(status);) {
    size_t source = begin + static_cast<size_t>(edit.sourceIndex());
    const size_t source_end = source + static_cast<size_t>(edit.oldLength());
    size_t at = static_cast<size_t>(edit.destinationIndex());
    const size_t at_end = at + static_cast<size_t>(edit.newLength());
    while (at < at_end) {
      const auto decoded = utf8::decode(normalised, at);
      at += decoded.length;
      if (edit.hasChange()) {  // every new character stands for the whole replaced stretch
        const bool upper = text[source] >= 'A' && text[source] <= 'Z';
        append(decoded.code_point, source, source_end);
        characters_.back().upper = upper;
      } else {
        append(decoded.code_point, source, source + decoded.length);
        source += decoded.length;
      }
    }
  }
}

void FoldedText::append(char32_t code_point, size_t begin, size_t end) {
  const bool upper = code_point >= U'A' && code_point <= U'Z';
  if (upper) code_point += U'a' - U'A';
  const CharInfo& info = char_info(code_point);
  characters_.push_back({info.simple, static_cast<uint32_t>(begin), static_cast<uint32_t>(end),
                         info.char_class, info.script, upper});
}

std::string unicode_version() {
  UVersionInfo icu_version, data_version;
  char icu_text[U_MAX_VERSION_STRING_LENGTH], data_text[U_MAX_VERSION_STRING_LENGTH];
  u_getVersion(icu_version);
  u_getUnicodeVersion(data_version);
  u_versionToString(icu_version, icu_text);
  u_versionToString(data_version, data_text);
  return std::string("icu-") + icu_text + "/unicode-" + data_text;
}

struct DictionaryBreaker::Icu {
  std::unique_ptr<icu::BreakIterator> breaker;
  icu::UnicodeString text;
};

DictionaryBreaker::DictionaryBreaker() : icu_(std::make_unique<Icu>()) {}
DictionaryBreaker::~DictionaryBreaker() = default;
DictionaryBreaker::DictionaryBreaker(DictionaryBreaker&&) noexcept = default;

void DictionaryBreaker::split(std::u32string_view run, std::vector<size_t>& ends) {
  UErrorCode status = U_ZERO_ERROR;
  if (icu_->breaker == nullptr) {
    icu_->breaker.reset(icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), status));
    check_icu(status, "the word dictionaries");
  }
  // Normalisation took the vowel AM of Thai and Lao apart; the dictionaries know it whole.
  ends.clear();
  icu_->text.remove();
  std::vector<size_t> code_points_before;  // per UTF-16 unit of text
  for (size_t i = 0; i < run.size(); ++i) {
    code_points_before.push_back(i);
    const bool thai_am = run[i] == 0x0E4D && i + 1 < run.size() && run[i + 1] == 0x0E32;
    const bool lao_am = run[i] == 0x0ECD && i + 1 < run.size() && run[i + 1] == 0x0EB2;
    if (thai_am || lao_am) {
      icu_->text.append(static_cast<char16_t>(thai_am ? 0x0E33 : 0x0EB3));
      ++i;
      continue;
    }
    icu_->text.append(static_cast<UChar32>(run[i]));
    if (run[i] > 0xFFFF) code_points_before.push_back(i);
  }
  code_points_before.push_back(run.size());
  icu_->breaker->setText(icu_->text);
  icu_->breaker->first();
  for (int32_t end = icu_->breaker->next(); end != icu::BreakIterator::DONE; end = icu_->breaker->next())
    ends.push_back(code_points_before[static_cast<size_t>(end)]);
}

}  // namespace lectern
