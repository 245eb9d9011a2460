#include "retrieval/analyzer_language.h"

#include <libstemmer.h>

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_map>

#include "base/error.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "retrieval/analyzer.h"
#include "retrieval/analyzer_words.h"

namespace lectern {
namespace {

struct Language {
  const char* code;
  Script script;
  const char* snowball;  // null: words are not stemmed
};

constexpr std::array kLanguages = {
    Language{"", Script::kCommon, nullptr},       Language{"en", Script::kLatin, "english"},
    Language{"de", Script::kLatin, "german"},     Language{"fr", Script::kLatin, "french"},
    Language{"es", Script::kLatin, "spanish"},    Language{"pt", Script::kLatin, "portuguese"},
    Language{"it", Script::kLatin, "italian"},    Language{"nl", Script::kLatin, "dutch"},
    Language{"sv", Script::kLatin, "swedish"},    Language{"da", Script::kLatin, "danish"},
    Language{"no", Script::kLatin, "norwegian"},  Language{"fi", Script::kLatin, "finnish"},
    Language{"hu", Script::kLatin, "hungarian"},  Language{"ro", Script::kLatin, "romanian"},
    Language{"ca", Script::kLatin, "catalan"},    Language{"tr", Script::kLatin, "turkish"},
    Language{"id", Script::kLatin, "indonesian"}, Language{"pl", Script::kLatin, nullptr},
    Language{"cs", Script::kLatin, nullptr},      Language{"vi", Script::kLatin, nullptr},
    Language{"el", Script::kGreek, "greek"},      Language{"ru", Script::kCyrillic, "russian"},
    Language{"uk", Script::kCyrillic, nullptr},   Language{"ar", Script::kArabic, "arabic"},
    Language{"fa", Script::kArabic, nullptr},     Language{"he", Script::kHebrew, nullptr},
    Language{"hi", Script::kDevanagari, "hindi"}, Language{"hy", Script::kArmenian, "armenian"},
    Language{"ta", Script::kTamil, "tamil"},      Language{"zh", Script::kHan, nullptr},
    Language{"ja", Script::kKana, nullptr},       Language{"ko", Script::kHangul, nullptr},
    Language{"th", Script::kThai, nullptr},       Language{"lo", Script::kLao, nullptr},
    Language{"km", Script::kKhmer, nullptr},      Language{"my", Script::kMyanmar, nullptr},
};
static_assert(kLanguages.size() <= 64, "sets of languages are 64-bit masks");

using LanguageMask = uint64_t;

// Function word -> the languages that have it.
const std::unordered_map<std::string, LanguageMask>& word_languages() {
  static const auto map = [] {
    std::unordered_map<std::string, LanguageMask> made;
    FoldedText folded;  // as the words of texts come, such as the one Greek sigma
    for (const LanguageWords& list : function_words()) {
      const LanguageMask bit = LanguageMask{1} << language_id(list.language);
      std::string word;
      folded.assign(list.words);
      for (const Character& c : folded.characters()) {
        if (c.code_point != U' ') {
          utf8::append(word, c.code_point);
          continue;
        }
        made[word] |= bit;
        word.clear();
      }
      made[word] |= bit;
    }
    return made;
  }();
  return map;
}

// Letters that only some languages of their script use.
struct LetterHint {
  std::u32string_view letters;
  std::array<const char*, 4> languages;
};
constexpr std::array kLetterHints = {
    LetterHint{U"ß", {"de"}},
    LetterHint{U"ä", {"de", "sv", "fi"}},
    LetterHint{U"ö", {"de", "sv", "hu", "tr"}},
    LetterHint{U"ü", {"de", "tr", "hu"}},
    LetterHint{U"ñ", {"es"}},
    LetterHint{U"ãõ", {"pt", "vi"}},
    LetterHint{U"àèìòù", {"it", "fr", "ca", "vi"}},
    LetterHint{U"êâîôû", {"fr", "pt", "vi", "ro"}},
    LetterHint{U"ç", {"fr", "pt", "tr", "ca"}},
    LetterHint{U"å", {"sv", "da", "no"}},
    LetterHint{U"øæ", {"da", "no"}},
    LetterHint{U"łżśźćąęń", {"pl"}},
    LetterHint{U"řěůčšž", {"cs"}},
    LetterHint{U"őű", {"hu"}},
    LetterHint{U"ğış", {"tr"}},
    LetterHint{U"șț", {"ro"}},
    LetterHint{U"ă", {"ro", "vi"}},
    LetterHint{U"đơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ", {"vi"}},
    LetterHint{U"ыэъ", {"ru"}},
    LetterHint{U"іїєґ", {"uk"}},
    LetterHint{U"پچژگ", {"fa"}},
    LetterHint{U"ةىإأؤئ", {"ar"}},
};

const std::unordered_map<char32_t, LanguageMask>& letter_languages() {
  static const auto map = [] {
    std::unordered_map<char32_t, LanguageMask> made;
    for (const LetterHint& hint : kLetterHints)
      for (const char32_t letter : hint.letters)
        for (const char* code : hint.languages)
          if (code != nullptr) made[letter] |= LanguageMask{1} << language_id(code);
    return made;
  }();
  return map;
}

void vote(LanguageMask languages, double weight, std::array<double, kLanguages.size()>& votes) {
  const double share = weight / std::popcount(languages);
  for (; languages != 0; languages &= languages - 1)
    votes[static_cast<size_t>(std::countr_zero(languages))] += share;
}

// Between the languages of one script, by function words and telling letters; kNoLanguage when nothing tells.
LanguageId vote_by_words(const std::vector<Character>& text, Script script, const LanguagePrior& prior) {
  std::array<double, kLanguages.size()> votes{};
  for (const LanguageId language : prior.languages) votes[language] += prior.votes;
  votes[kNoLanguage] = 0;
  std::string word;
  for (size_t i = 0; i <= text.size(); ++i) {
    const bool letter = i < text.size() &&
                        (text[i].char_class == CharClass::kLetter || text[i].char_class == CharClass::kMark);
    if (letter) {
      utf8::append(word, text[i].code_point);
      if (text[i].code_point >= 0x80)
        if (const auto hint = letter_languages().find(text[i].code_point); hint != letter_languages().end())
          vote(hint->second, 0.3, votes);
    } else if (!word.empty()) {
      if (const auto found = word_languages().find(word); found != word_languages().end())
        vote(found->second, 1.0, votes);
      word.clear();
    }
  }
  size_t best = 0;
  double second = 0;
  for (size_t i = 1; i < votes.size(); ++i) {
    if (kLanguages[i].script != script) continue;
    if (votes[i] > votes[best]) {
      second = votes[best];
      best = i;
    } else {
      second = std::max(second, votes[i]);
    }
  }
  return votes[best] > second ? static_cast<LanguageId>(best) : kNoLanguage;
}

// French, Italian and Catalan articles and particles that lose their vowel: l'eau, dell'arte.
bool is_elided(std::string_view prefix) {
  static constexpr std::string_view kElided[] = {
      "l",     "d",      "m",      "t",      "s",     "j",    "n",    "c",    "qu",
      "jusqu", "lorsqu", "puisqu", "quoiqu", "un",    "all",  "dall", "dell", "nell",
      "sull",  "coll",   "gl",     "quell",  "quest", "sant", "bell", "v"};
  return std::find(std::begin(kElided), std::end(kElided), prefix) != std::end(kElided);
}

// The word without the apostrophe and what it attaches. English keeps it: its stemmer knows "'s".
std::string without_apostrophe(LanguageId language, std::string_view word) {
  const size_t first = word.find('\'');
  if (first == std::string_view::npos) return std::string(word);
  const std::string_view code = language_code(language);
  if (code == "en") return std::string(word);
  if (code == "tr") return std::string(word.substr(0, first));  // case endings of names
  if (is_elided(word.substr(0, first))) word.remove_prefix(first + 1);
  if (word.size() > 2 && word.ends_with("'s")) word.remove_suffix(2);
  std::string joined;
  for (const char c : word)
    if (c != '\'') joined += c;
  return joined;
}

}  // namespace

LanguageId language_id(std::string_view code) {
  for (size_t i = 1; i < kLanguages.size(); ++i)
    if (code == kLanguages[i].code) return static_cast<LanguageId>(i);
  return kNoLanguage;
}

std::string_view language_code(LanguageId id) {
  return kLanguages[id].code;
}

LanguageId guess_language(const std::vector<Character>& text, const LanguagePrior& prior) {
  std::array<size_t, static_cast<size_t>(Script::kCount)> letters{};
  for (const Character& c : text)
    if (c.char_class != CharClass::kOther && c.char_class != CharClass::kMark)
      ++letters[static_cast<size_t>(c.script)];
  letters[static_cast<size_t>(Script::kCommon)] = 0;
  // A Han character or a syllable says as much as three letters.
  const auto count = [&](Script script) -> size_t& { return letters[static_cast<size_t>(script)]; };
  const size_t kana = count(Script::kKana), han = count(Script::kHan);
  if (kana * 20 >= han + kana && kana > 0) {
    count(Script::kKana) = han + kana;
    count(Script::kHan) = 0;
  }
  for (const Script script : {Script::kHan, Script::kKana, Script::kHangul}) count(script) *= 3;
  const auto top = std::max_element(letters.begin(), letters.end());
  if (*top == 0) return kNoLanguage;
  const auto script = static_cast<Script>(top - letters.begin());
  if (script == Script::kLatin || script == Script::kCyrillic || script == Script::kArabic)
    return vote_by_words(text, script, prior);
  for (size_t i = 1; i < kLanguages.size(); ++i)
    if (kLanguages[i].script == script) return static_cast<LanguageId>(i);
  return kNoLanguage;
}

std::string guess_language(std::string_view text) {
  // The vote of a few thousand characters does not change with more of the same; documents often begin with
  // something unlike the rest, so three places are read.
  constexpr size_t kSample = 3000;
  std::string sample;
  if (text.size() <= 3 * kSample) {
    sample = text;
  } else {
    for (const size_t at : {size_t{0}, text.size() / 2, text.size() - kSample})
      sample.append(text.substr(at, kSample)).push_back(' ');
  }
  FoldedText folded;
  folded.assign(sample);
  return std::string(language_code(guess_language(folded.characters(), {})));
}

LanguageId stemming_language(LanguageId language, Script script) {
  if (kLanguages[language].script == script) return language;
  switch (script) {
    case Script::kLatin:
      return language_id("en");
    case Script::kGreek:
      return language_id("el");
    case Script::kCyrillic:
      return language_id("ru");
    case Script::kArabic:
      return language_id("ar");
    case Script::kDevanagari:
      return language_id("hi");
    case Script::kArmenian:
      return language_id("hy");
    case Script::kTamil:
      return language_id("ta");
    default:
      return kNoLanguage;
  }
}

bool is_function_word(LanguageId language, const std::string& word) {
  const auto found = word_languages().find(word);
  return found != word_languages().end() && (found->second >> language & 1) != 0;
}

bool is_function_character(char32_t code_point) {
  return function_characters().find(code_point) != std::u32string_view::npos;
}

void append_without_diacritics(std::string_view word, std::string& out) {
  for (size_t i = 0; i < word.size();) {
    const auto c = static_cast<uint8_t>(word[i]);
    if (c < 0x80) {
      out.push_back(word[i++]);
      continue;
    }
    const auto decoded = utf8::decode(word, i);
    i += decoded.length;
    if (const char32_t base = char_info(decoded.code_point).base; base != 0) utf8::append(out, base);
  }
}

Stemmer::Stemmer() : algorithms_(kLanguages.size()), cache_(1 << 14) {}
Stemmer::~Stemmer() {
  for (sb_stemmer* algorithm : algorithms_) sb_stemmer_delete(algorithm);
}
Stemmer::Stemmer(Stemmer&& other) noexcept
    : algorithms_(std::move(other.algorithms_)), cache_(std::move(other.cache_)) {
  other.algorithms_.clear();
}

std::string_view Stemmer::stem(LanguageId language, std::string_view word) {
  Entry& entry = cache_[(fnv1a(word) ^ language) & (cache_.size() - 1)];
  if (entry.language != language || entry.word != word || entry.word.empty()) {
    entry.language = language;
    entry.word = word;
    compute(language, word, entry.stem);
  }
  return entry.stem;
}

void Stemmer::compute(LanguageId language, std::string_view word, std::string& stem) {
  // Diacritics go after stemming: most of Snowball's rules read them.
  std::string plain = without_apostrophe(language, word);
  if (sb_stemmer* stemmer = algorithm(language)) {
    const auto* symbols = sb_stemmer_stem(stemmer, reinterpret_cast<const sb_symbol*>(plain.data()),
                                          static_cast<int>(plain.size()));
    if (symbols == nullptr) throw Error(ErrorCode::kResourceExhausted, "out of memory while stemming");
    if (const int length = sb_stemmer_length(stemmer); length > 0)
      plain.assign(reinterpret_cast<const char*>(symbols), static_cast<size_t>(length));
  }
  stem.clear();
  append_without_diacritics(plain, stem);
  std::erase(stem, '\'');
}

sb_stemmer* Stemmer::algorithm(LanguageId language) {
  if (kLanguages[language].snowball == nullptr) return nullptr;
  sb_stemmer*& slot = algorithms_[language];
  if (slot == nullptr) slot = sb_stemmer_new(kLanguages[language].snowball, "UTF_8");
  if (slot == nullptr)
    throw Error(ErrorCode::kUnsupported, std::string("libstemmer has no stemmer for ") +
                                             kLanguages[language].snowball +
                                             "; version 2.2 or later is needed");
  return slot;
}

}  // namespace lectern
