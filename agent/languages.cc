#include "agent/languages.h"

#include "agent/text_terms.h"
#include "base/utf8.h"

namespace lectern {
namespace {

struct LanguageName {
  std::string_view code, english, chinese;
};

constexpr std::array<LanguageName, 28> kNames = {{
    {"en", "English", "英文"},        {"zh", "Chinese", "中文"},     {"ja", "Japanese", "日文"},
    {"ko", "Korean", "韩文"},         {"de", "German", "德文"},      {"fr", "French", "法文"},
    {"es", "Spanish", "西班牙文"},    {"it", "Italian", "意大利文"}, {"pt", "Portuguese", "葡萄牙文"},
    {"nl", "Dutch", "荷兰文"},        {"ru", "Russian", "俄文"},     {"uk", "Ukrainian", "乌克兰文"},
    {"pl", "Polish", "波兰文"},       {"cs", "Czech", "捷克文"},     {"sv", "Swedish", "瑞典文"},
    {"da", "Danish", "丹麦文"},       {"fi", "Finnish", "芬兰文"},   {"hu", "Hungarian", "匈牙利文"},
    {"ro", "Romanian", "罗马尼亚文"}, {"tr", "Turkish", "土耳其文"}, {"el", "Greek", "希腊文"},
    {"he", "Hebrew", "希伯来文"},     {"ar", "Arabic", "阿拉伯文"},  {"fa", "Persian", "波斯文"},
    {"hi", "Hindi", "印地文"},        {"th", "Thai", "泰文"},        {"vi", "Vietnamese", "越南文"},
    {"id", "Indonesian", "印尼文"},
}};

enum Script {
  kLatin,
  kHan,
  kKana,
  kHangul,
  kCyrillic,
  kArabic,
  kDevanagari,
  kThai,
  kGreek,
  kHebrew,
  kScripts
};

bool in(char32_t c, char32_t first, char32_t last) {
  return c >= first && c <= last;
}

Script script_of(char32_t c) {
  if (in(c, 0x3400, 0x9FFF) || in(c, 0xF900, 0xFAFF) || in(c, 0x20000, 0x3FFFF)) return kHan;
  if (in(c, 0x3041, 0x30FF) && c != 0x30FB && c != 0x30FC) return kKana;
  if (in(c, 0xAC00, 0xD7A3) || in(c, 0x1100, 0x11FF)) return kHangul;
  if (in(c, 0x400, 0x52F)) return kCyrillic;
  if (in(c, 0x600, 0x6FF) || in(c, 0x750, 0x77F)) return kArabic;
  if (in(c, 0x900, 0x97F)) return kDevanagari;
  if (in(c, 0xE00, 0xE7F)) return kThai;
  if (in(c, 0x370, 0x3FF)) return kGreek;
  if (in(c, 0x590, 0x5FF)) return kHebrew;
  return kLatin;
}

// Characters of unspaced scripts and words of the others, by script.
std::array<size_t, kScripts> count_scripts(std::string_view text) {
  std::array<size_t, kScripts> counts{};
  bool in_word = false;
  for (size_t i = 0; i < text.size();) {
    const utf8::Decoded d = utf8::decode(text, i);
    i += d.length;
    const bool digit = in(d.code_point, '0', '9');
    const bool word = is_word_character(d.code_point) && !digit;
    if (is_unspaced_script(d.code_point)) {
      ++counts[script_of(d.code_point)];
      in_word = false;
    } else {
      if (word && !in_word) ++counts[script_of(d.code_point)];
      in_word = word || (digit && in_word);
    }
  }
  return counts;
}

}  // namespace

std::array<std::string, 2> yes_and_no(std::string_view request) {
  if (prompt_language(request) == "zh") return {"是", "否"};
  return {"Yes", "No"};
}

std::string_view language_of_script(std::string_view text) {
  const std::array<size_t, kScripts> counts = count_scripts(text);
  if (counts[kKana] > 0 && counts[kKana] + counts[kHan] >= counts[kLatin]) return "ja";
  static constexpr std::array<std::string_view, kScripts> kCodes = {"",   "zh", "ja", "ko", "ru",
                                                                    "ar", "hi", "th", "el", "he"};
  size_t best = kLatin;
  for (size_t s = 0; s < kScripts; ++s) {
    if (counts[s] > 0 && (counts[s] > counts[best] || (best == kLatin && counts[s] >= counts[best])))
      best = s;
  }
  return kCodes[best];
}

std::string_view prompt_language(std::string_view request) {
  return language_of_script(request) == "zh" ? "zh" : "en";
}

std::string language_name(std::string_view code, std::string_view prompts) {
  for (const LanguageName& name : kNames) {
    if (name.code == code) return std::string(prompts == "zh" ? name.chinese : name.english);
  }
  return std::string(code);
}

}  // namespace lectern
