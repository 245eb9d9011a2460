#include "retrieval/charset.h"

#include <unicode/localpointer.h>
#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/ascii.h"
#include "base/error.h"
#include "base/utf8.h"

namespace lectern {
namespace {

constexpr char kEscape = 0x1B;

bool is_c0_control(uint8_t byte) {
  return (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7F;
}

// What the bytes are made of, counted in one pass.
struct Census {
  uint64_t nul = 0;
  uint64_t control = 0;    // C0 controls that text files do not hold; escape and form feed are not among them
  uint64_t multibyte = 0;  // well-formed UTF-8 sequences of two bytes or more
  uint64_t ill_formed = 0;  // bytes outside any well-formed sequence
  bool escape = false;
};

Census take_census(std::string_view bytes) {
  Census census;
  for (size_t i = 0; i < bytes.size();) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    if (byte < 0x80) {
      ++i;
      if (!is_c0_control(byte)) continue;
      if (byte == 0) ++census.nul;
      if (byte == kEscape) census.escape = true;
      if (byte != kEscape && byte != '\f' && byte != '\v' && byte != '\b') ++census.control;
      continue;
    }
    const utf8::Decoded decoded = utf8::decode(bytes, i);
    ++(decoded.valid ? census.multibyte : census.ill_formed);
    i += decoded.length;
  }
  return census;
}

// Text may hold a stray control character (a page of zeros at the end of a log that a crash cut off);
// compressed and executable data holds more than a tenth.
bool is_binary(const Census& census, size_t size) {
  return census.control * 20 > size || (census.nul > 0 && census.control * 50 > size);
}

bool starts_with(std::string_view bytes, std::string_view prefix) {
  return bytes.starts_with(prefix);
}

// The charset and length of a byte-order mark.
struct Mark {
  const char* charset = nullptr;
  size_t length = 0;
};

Mark byte_order_mark(std::string_view bytes) {
  using namespace std::string_view_literals;
  if (starts_with(bytes, "\xEF\xBB\xBF"sv)) return {"UTF-8", 3};
  if (starts_with(bytes, "\xFF\xFE\0\0"sv)) return {"UTF-32LE", 4};
  if (starts_with(bytes, "\0\0\xFE\xFF"sv)) return {"UTF-32BE", 4};
  if (starts_with(bytes, "\xFF\xFE"sv)) return {"UTF-16LE", 2};
  if (starts_with(bytes, "\xFE\xFF"sv)) return {"UTF-16BE", 2};
  return {};
}

// UTF-16 without a mark: where most characters are ASCII, every other byte is zero.
const char* guess_utf16(std::string_view bytes) {
  const size_t pairs = std::min<size_t>(bytes.size(), 4096) / 2;
  size_t even = 0, odd = 0;
  for (size_t i = 0; i < pairs; ++i) {
    even += bytes[2 * i] == 0;
    odd += bytes[2 * i + 1] == 0;
  }
  if (pairs < 2) return nullptr;
  if (odd * 10 >= pairs * 7 && even * 50 <= pairs) return "UTF-16LE";
  if (even * 10 >= pairs * 7 && odd * 50 <= pairs) return "UTF-16BE";
  return nullptr;
}

// Charsets by the name under which ICU converts them. The WHATWG's habit is followed: a name that in practice
// means a superset is read as the superset.
std::string conversion_name(std::string_view name) {
  const std::string lower = ascii_lower(std::string(name.substr(0, 40)));
  struct Alias {
    std::string_view name, conversion;
  };
  static constexpr std::array kAliases{
      Alias{"iso-8859-1", "windows-1252"},
      Alias{"latin1", "windows-1252"},
      Alias{"us-ascii", "windows-1252"},
      Alias{"ascii", "windows-1252"},
      Alias{"iso-8859-8", "windows-1255"},
      Alias{"iso-8859-8-i", "windows-1255"},
      Alias{"iso-8859-9", "windows-1254"},
      Alias{"gb2312", "GB18030"},
      Alias{"gbk", "GB18030"},
      Alias{"gb18030", "GB18030"},
      Alias{"euc-kr", "windows-949"},
      Alias{"ks_c_5601-1987", "windows-949"},
      Alias{"shift_jis", "windows-31j"},
      Alias{"shift-jis", "windows-31j"},
      Alias{"sjis", "windows-31j"},
  };
  for (const Alias& alias : kAliases)
    if (lower == alias.name) return std::string(alias.conversion);
  // ICU takes options after a comma, and knows charsets that are no text encodings of files.
  for (const char c : lower)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_' && c != '.' && c != ':')
      return "";
  for (const std::string_view unwanted :
       {"utf-7", "utf7", "scsu", "bocu-1", "imap", "ebcdic", "ibm420", "ibm424"})
    if (lower.find(unwanted) != std::string::npos) return "";
  return std::string(name.substr(0, 40));
}

// The lines with bytes above ASCII, which alone tell charsets apart: ICU looks at the first 8 KB only.
std::string telling_sample(std::string_view bytes) {
  constexpr size_t kSampleBytes = 16 << 10;
  constexpr size_t kLineBytes = 1 << 10;
  std::string sample;
  size_t i = 0;
  while (i < bytes.size() && sample.size() < kSampleBytes) {
    if (static_cast<uint8_t>(bytes[i]) < 0x80) {
      ++i;
      continue;
    }
    // Back to the start of the line or of the run of non-ASCII text, so that no character is cut.
    size_t begin = i;
    while (begin > 0 && i - begin < 80 && bytes[begin - 1] != '\n') --begin;
    const size_t end = std::min({bytes.find('\n', i), bytes.size(), i + kLineBytes});
    sample.append(bytes, begin, end - begin);
    sample.push_back('\n');
    i = end;
  }
  return sample;
}

std::string guess_charset(std::string_view bytes) {
  const std::string sample = telling_sample(bytes);
  UErrorCode status = U_ZERO_ERROR;
  const icu::LocalUCharsetDetectorPointer detector(ucsdet_open(&status));
  ucsdet_setText(detector.getAlias(), sample.data(), static_cast<int32_t>(sample.size()), &status);
  int32_t count = 0;
  const UCharsetMatch** matches = ucsdet_detectAll(detector.getAlias(), &count, &status);
  for (int32_t i = 0; U_SUCCESS(status) && i < count; ++i) {
    const std::string_view name = ucsdet_getName(matches[i], &status);
    if (name.starts_with("UTF-") || name.starts_with("IBM") || name.starts_with("ISO-2022")) continue;
    return conversion_name(name);
  }
  return "windows-1252";
}

struct ConverterPair {
  explicit ConverterPair(const std::string& charset) {
    from = ucnv_open(charset.c_str(), &status);
    to = ucnv_open("UTF-8", &status);
  }
  ~ConverterPair() {
    if (from != nullptr) ucnv_close(from);
    if (to != nullptr) ucnv_close(to);
  }
  ConverterPair(const ConverterPair&) = delete;
  ConverterPair& operator=(const ConverterPair&) = delete;
  UErrorCode status = U_ZERO_ERROR;
  UConverter* from = nullptr;
  UConverter* to = nullptr;
};

bool can_convert(const std::string& charset) {
  return !charset.empty() && U_SUCCESS(ConverterPair(charset).status);
}

// Any charset ICU knows to UTF-8; what cannot be read becomes U+FFFD.
std::string convert(std::string_view bytes, const std::string& charset, const std::string& name) {
  ConverterPair pair(charset);
  if (U_FAILURE(pair.status))
    throw Error(ErrorCode::kUnsupported, name + ": is in the charset " + charset + ", which ICU cannot read");
  std::string text;
  text.reserve(bytes.size() + bytes.size() / 2);
  std::array<UChar, 4096> pivot;
  std::array<char, 8192> buffer;
  UChar* pivot_source = pivot.data();
  UChar* pivot_target = pivot.data();
  const char* source = bytes.data();
  UErrorCode status = U_BUFFER_OVERFLOW_ERROR;
  for (bool reset = true; status == U_BUFFER_OVERFLOW_ERROR; reset = false) {
    status = U_ZERO_ERROR;
    char* target = buffer.data();
    ucnv_convertEx(pair.to, pair.from, &target, buffer.data() + buffer.size(), &source,
                   bytes.data() + bytes.size(), pivot.data(), &pivot_source, &pivot_target,
                   pivot.data() + pivot.size(), reset, true, &status);
    text.append(buffer.data(), target);
  }
  if (U_FAILURE(status))
    throw Error(ErrorCode::kCorrupt,
                name + ": cannot be converted from " + charset + ": " + u_errorName(status));
  return text;
}

uint64_t count_replacements(std::string_view text) {
  uint64_t n = 0;
  for (size_t i = text.find("\xEF\xBF\xBD"); i != std::string_view::npos;
       i = text.find("\xEF\xBF\xBD", i + 3))
    ++n;
  return n;
}

DecodedText from_charset(std::string_view bytes, const std::string& charset, const std::string& name) {
  DecodedText result{convert(bytes, charset, name), charset, 0};
  result.n_replaced = count_replacements(result.text);
  replace_controls(result.text);
  return result;
}

}  // namespace

void replace_controls(std::string& text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (is_c0_control(byte)) {
      text[i] = ' ';
    } else if (byte == 0xC2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xA0) {
      text[i + 1] = static_cast<char>(0xA0);  // U+0080..U+009F becomes a no-break space
    }
  }
}

bool looks_binary(std::string_view bytes) {
  const Mark mark = byte_order_mark(bytes);
  if (mark.length > 0 || guess_utf16(bytes) != nullptr) return false;
  return is_binary(take_census(bytes), bytes.size());
}

DecodedText decode_text(std::string bytes, const std::string& name, std::string_view declared) {
  const Mark mark = byte_order_mark(bytes);
  if (mark.length > 0 && std::string_view(mark.charset) != "UTF-8")
    return from_charset(std::string_view(bytes).substr(mark.length), mark.charset, name);
  if (mark.length == 0)
    if (const char* utf16 = guess_utf16(bytes)) return from_charset(bytes, utf16, name);
  bytes.erase(0, mark.length);

  const Census census = take_census(bytes);
  if (is_binary(census, bytes.size()))
    throw Error(ErrorCode::kUnsupported, name + ": is a binary file (" +
                                             (census.nul > 0 ? std::to_string(census.nul) + " NUL bytes"
                                                             : std::string("control characters")) +
                                             "), not a text");
  const std::string declared_name = conversion_name(declared);
  // ISO-2022 charsets are ASCII bytes with escape sequences: well-formed UTF-8, but not meant so.
  const bool declared_escapes = census.escape && declared_name.find("2022") != std::string::npos;
  // Well-formed UTF-8, or UTF-8 with some damage: in other charsets, well-formed sequences are rare
  // accidents.
  if (!declared_escapes && census.ill_formed * 8 <= census.multibyte) {
    DecodedText result{{}, "UTF-8", census.ill_formed};
    result.text = census.ill_formed > 0 ? utf8::repair(bytes) : std::move(bytes);
    replace_controls(result.text);
    return result;
  }
  return from_charset(bytes, can_convert(declared_name) ? declared_name : guess_charset(bytes), name);
}

}  // namespace lectern
