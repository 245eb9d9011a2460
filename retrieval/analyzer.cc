#include "retrieval/analyzer.h"

#include <algorithm>

#include "base/utf8.h"
#include "retrieval/analyzer_language.h"
#include "retrieval/analyzer_text.h"

namespace lectern {
namespace {

// A compound (path, URL, identifier) is followed this far; a longer one goes on as another.
constexpr size_t kMaxCompoundCharacters = 256;

bool is_word_class(CharClass char_class) {
  return char_class == CharClass::kLetter || char_class == CharClass::kDigit;
}

// Characters that hold the parts of one identifier, address, number or compound together.
bool is_joiner(char32_t c) {
  return c < 0x80 &&
         std::string_view("_-./\\@:'&+,#=?%~>").find(static_cast<char>(c)) != std::string_view::npos;
}

}  // namespace

struct Analyzer::Impl {
  // A stretch [begin, end) of characters.
  struct Span {
    size_t begin, end;
  };

  void run(std::vector<Term>& terms);
  void analyze_han_kana(Span run);
  void analyze_hangul(Span run);
  void analyze_dictionary(Span run);
  size_t analyze_compound(size_t begin);
  void emit_compound();
  void emit_number();
  void emit_part(Span part);
  void emit_word(Span word);
  void emit_exact(Span word);
  void emit_bigrams(Span run);
  void emit(std::string_view text, Span from, bool is_function);
  bool joins(Span joiner, bool& url) const;
  bool all_of(Span span, CharClass char_class) const;

  const Character& at(size_t i) const { return text.characters()[i]; }
  CharClass class_at(size_t i) const { return at(i).char_class; }
  Span run_of(size_t begin, CharClass char_class) const;

  FoldedText text;
  Stemmer stemmer;
  DictionaryBreaker breaker;

  // Of the text at hand.
  std::vector<LanguageId> languages;       // whose stems each word gets
  LanguageId stop_language = kNoLanguage;  // whose function words a query drops
  bool is_query = false;
  std::vector<Term>* out = nullptr;
  std::vector<bool> is_function_term;  // beside *out, for queries

  std::vector<Span> parts;        // of the compound at hand
  std::vector<char32_t> joiners;  // between them
  std::string surface, folded;
  std::u32string dictionary_run;
  std::vector<size_t> dictionary_ends;
};

void Analyzer::Impl::run(std::vector<Term>& terms) {
  out = &terms;
  is_function_term.clear();
  const size_t n = text.characters().size();
  for (size_t i = 0; i < n;) {
    switch (class_at(i)) {
      case CharClass::kHanKana: {
        const Span span = run_of(i, CharClass::kHanKana);
        analyze_han_kana(span);
        i = span.end;
        break;
      }
      case CharClass::kHangul: {
        const Span span = run_of(i, CharClass::kHangul);
        analyze_hangul(span);
        i = span.end;
        break;
      }
      case CharClass::kDictionary: {
        const Span span = run_of(i, CharClass::kDictionary);
        analyze_dictionary(span);
        i = span.end;
        break;
      }
      case CharClass::kLetter:
      case CharClass::kDigit:
        i = analyze_compound(i);
        break;
      case CharClass::kMark:
      case CharClass::kOther:
        ++i;
        break;
    }
  }
}

// Characters of one class from `begin` on; marks that folding drops do not end it.
Analyzer::Impl::Span Analyzer::Impl::run_of(size_t begin, CharClass char_class) const {
  size_t end = begin + 1;
  while (end < text.characters().size() && class_at(end) == char_class) ++end;
  return {begin, end};
}

void Analyzer::Impl::analyze_han_kana(Span run) {
  emit_bigrams(run);
}

void Analyzer::Impl::emit_bigrams(Span run) {
  const size_t length = run.end - run.begin;
  for (size_t i = run.begin; i + 1 < run.end || (length == 1 && i < run.end); ++i) {
    const size_t end = std::min(i + 2, run.end);
    surface.clear();
    bool is_function = true;
    for (size_t k = i; k < end; ++k) {
      utf8::append(surface, at(k).code_point);
      is_function = is_function && is_query && is_function_character(at(k).code_point);
    }
    emit(surface, {i, end}, is_function);
  }
}

void Analyzer::Impl::analyze_hangul(Span run) {
  if (run.end - run.begin > 2) emit_exact(run);
  emit_bigrams(run);
}

void Analyzer::Impl::analyze_dictionary(Span run) {
  dictionary_run.clear();
  for (size_t i = run.begin; i < run.end; ++i) dictionary_run.push_back(at(i).code_point);
  breaker.split(dictionary_run, dictionary_ends);
  size_t begin = run.begin;
  for (const size_t end : dictionary_ends) {
    emit_word({begin, run.begin + end});
    begin = run.begin + end;
  }
}

// Does the stretch of joiners, between two word characters, hold them together?
bool Analyzer::Impl::joins(Span joiner, bool& url) const {
  const auto code = [&](size_t k) { return at(joiner.begin + k).code_point; };
  const size_t length = joiner.end - joiner.begin;
  const bool digits =
      class_at(joiner.begin - 1) == CharClass::kDigit && class_at(joiner.end) == CharClass::kDigit;
  if (length == 1) {
    switch (code(0)) {
      case ',':
        return digits;
      case '\'':
        return class_at(joiner.begin - 1) != CharClass::kDigit && class_at(joiner.end) == CharClass::kLetter;
      case '>':
        return false;
      case '#':
      case '=':
      case '?':
      case '%':
      case '~':
        return url;
      default:
        return true;
    }
  }
  if (length == 3 && code(0) == ':' && code(1) == '/' && code(2) == '/') return url = true;
  if (length == 2) {
    const bool scope = code(0) == ':' && (code(1) == ':' || code(1) == '\\');
    const bool arrow = code(0) == '-' && code(1) == '>';
    const bool underscores = code(0) == '_' && code(1) == '_';
    if (scope || arrow || underscores) return true;
  }
  return url;
}

// Reads words with what joins them from `begin`, emits their terms and returns where they end.
size_t Analyzer::Impl::analyze_compound(size_t begin) {
  const size_t n = text.characters().size();
  parts.clear();
  joiners.clear();
  bool url = false;
  size_t i = begin;
  for (;;) {
    size_t end = i;
    while (end < n && (is_word_class(class_at(end)) || class_at(end) == CharClass::kMark)) ++end;
    // Words held by an apostrophe are one part.
    if (!joiners.empty() && joiners.back() == '\'') {
      joiners.pop_back();
      parts.back().end = end;
    } else {
      parts.push_back({i, end});
    }
    size_t next = end;
    while (next < n && next - end < 3 && is_joiner(at(next).code_point)) ++next;
    const bool joined = next > end && next < n && is_word_class(class_at(next)) &&
                        end - begin < kMaxCompoundCharacters && joins({end, next}, url);
    if (!joined) break;
    joiners.push_back(at(next - 1).code_point);
    i = next;
  }
  emit_compound();
  return parts.back().end;
}

bool Analyzer::Impl::all_of(Span span, CharClass char_class) const {
  for (size_t i = span.begin; i < span.end; ++i)
    if (class_at(i) != char_class) return false;
  return true;
}

void Analyzer::Impl::emit_compound() {
  const Span whole = {parts.front().begin, parts.back().end};
  const size_t n = text.characters().size();
  if (parts.size() == 1) {
    // C++ and C#.
    const auto follows = [&](size_t k, char32_t c) {
      return whole.end + k < n && at(whole.end + k).code_point == c;
    };
    if (whole.end - whole.begin == 1 && all_of(whole, CharClass::kLetter)) {
      if (follows(0, '+') && follows(1, '+')) emit_exact({whole.begin, whole.end + 2});
      if (follows(0, '#')) emit_exact({whole.begin, whole.end + 1});
    }
    return emit_part(whole);
  }
  bool digits_only = true, letters_only = true, any_digit = false;
  for (const Span& part : parts) {
    digits_only = digits_only && all_of(part, CharClass::kDigit);
    letters_only = letters_only && part.end - part.begin == 1 && all_of(part, CharClass::kLetter);
    for (size_t i = part.begin; i < part.end; ++i) any_digit = any_digit || class_at(i) == CharClass::kDigit;
  }
  const auto only = [&](std::u32string_view allowed) {
    return std::all_of(joiners.begin(), joiners.end(),
                       [&](char32_t c) { return allowed.find(c) != std::u32string_view::npos; });
  };
  if (digits_only && only(U".,")) return emit_number();
  const bool acronym = letters_only && only(U".");
  const bool hyphenated = only(U"-") && !any_digit;
  if (acronym || (hyphenated && parts.size() == 2)) {
    // One word to many writers: "U.S." and "US", "e-mail" and "email".
    surface.clear();
    for (const Span& part : parts)
      for (size_t i = part.begin; i < part.end; ++i) utf8::append(surface, at(i).code_point);
    folded.clear();
    append_without_diacritics(surface, folded);
    emit(utf8::prefix(folded, kMaxTermBytes), whole, false);
    if (acronym) return;
  } else if (!hyphenated) {
    emit_exact(whole);
  }
  for (const Span& part : parts) emit_part(part);
}

// Digits with points and commas: 1,234,567 and 1.234.567 are 1234567, 3,14 is 3.14; what is neither (a
// version, a date) gives the whole and its parts.
void Analyzer::Impl::emit_number() {
  const auto length = [&](size_t k) { return parts[k].end - parts[k].begin; };
  size_t n_groups = 1;
  while (n_groups < parts.size() && length(n_groups) == 3 && joiners[n_groups - 1] == joiners[0]) ++n_groups;
  if (length(0) > 3 || (length(0) == 1 && at(parts[0].begin).code_point == '0')) n_groups = 1;
  const size_t n_decimals = parts.size() - n_groups;
  if (n_decimals > 1) {
    emit_exact({parts.front().begin, parts.back().end});
    for (const Span& part : parts) emit_exact(part);
    return;
  }
  surface.clear();
  for (size_t k = 0; k < parts.size(); ++k) {
    if (k == n_groups) surface.push_back('.');
    for (size_t i = parts[k].begin; i < parts[k].end; ++i) utf8::append(surface, at(i).code_point);
  }
  emit(utf8::prefix(surface, kMaxTermBytes), {parts.front().begin, parts.back().end}, false);
}

// A word without joiners. Changes of case and between letters and digits divide it: parseHTML5 gives itself,
// parse, html and 5.
void Analyzer::Impl::emit_part(Span part) {
  const auto divides = [&](size_t i) {
    const CharClass before = class_at(i - 1), after = class_at(i);
    if (!is_word_class(before) || !is_word_class(after)) return false;
    if (before != after) return true;
    if (!at(i).upper) return false;
    const bool lower_after = i + 2 < part.end && !at(i + 1).upper && !at(i + 2).upper &&
                             class_at(i + 1) == CharClass::kLetter && class_at(i + 2) == CharClass::kLetter;
    return !at(i - 1).upper || lower_after;
  };
  const size_t n_terms = out->size();
  bool divided = false, any_digit = false;
  const bool divisible = part.end - part.begin <= kMaxTermBytes;
  for (size_t i = part.begin; i < part.end && divisible; ++i) {
    any_digit = any_digit || class_at(i) == CharClass::kDigit;
    divided = divided || (i > part.begin && divides(i));
  }
  if (any_digit || (!divisible && class_at(part.begin) == CharClass::kDigit))
    emit_exact(part);
  else
    emit_word(part);
  if (!divided) return;
  const bool single_function_word = is_query && out->size() == n_terms + 1 && is_function_term.back();
  if (single_function_word) return;
  size_t begin = part.begin;
  for (size_t i = part.begin + 1; i <= part.end; ++i) {
    if (i < part.end && !divides(i)) continue;
    if (class_at(begin) == CharClass::kDigit)
      emit_exact({begin, i});
    else if (i - begin > 1)
      emit_word({begin, i});
    begin = i;
  }
}

// A word of letters: one term for each way the languages at hand stem it.
void Analyzer::Impl::emit_word(Span word) {
  surface.clear();
  Script script = Script::kCommon;
  for (size_t i = word.begin; i < word.end && surface.size() < kMaxTermBytes; ++i) {
    utf8::append(surface, at(i).code_point);
    if (script == Script::kCommon) script = at(i).script;
  }
  const bool is_function = is_query && is_function_word(stop_language, surface);
  const size_t first = out->size();
  for (const LanguageId language : languages) {
    const std::string_view stem = stemmer.stem(stemming_language(language, script), surface);
    const auto same = [&](const Term& term) { return term.text == stem; };
    if (std::none_of(out->begin() + static_cast<ptrdiff_t>(first), out->end(), same))
      emit(utf8::prefix(stem, kMaxTermBytes), word, is_function);
  }
}

// As written, but for case and diacritics.
void Analyzer::Impl::emit_exact(Span word) {
  folded.clear();
  for (size_t i = word.begin; i < word.end && folded.size() < kMaxTermBytes; ++i) {
    const char32_t c = at(i).code_point;
    if (const char32_t base = c < 0x80 ? c : char_info(c).base; base != 0) utf8::append(folded, base);
  }
  emit(utf8::prefix(folded, kMaxTermBytes), word, false);
}

void Analyzer::Impl::emit(std::string_view term, Span from, bool is_function) {
  if (term.empty()) return;
  out->push_back({std::string(term), at(from.begin).begin, at(from.end - 1).end});
  if (is_query) is_function_term.push_back(is_function);
}

Analyzer::Analyzer() : impl_(std::make_unique<Impl>()) {}
Analyzer::~Analyzer() = default;
Analyzer::Analyzer(Analyzer&&) noexcept = default;

std::string Analyzer::analyze_document(std::string_view text, std::vector<Term>& out,
                                       std::string_view language) {
  out.clear();
  impl_->text.assign(text);
  const LanguageId likely = language_id(language);
  LanguageId guessed = guess_language(impl_->text.characters(), {{&likely, 1}, 3.0});
  if (guessed == kNoLanguage) guessed = likely;
  impl_->languages.assign(1, guessed);
  impl_->is_query = false;
  impl_->run(out);
  return std::string(language_code(guessed));
}

void Analyzer::analyze_query(std::string_view text, std::vector<Term>& out,
                             std::span<const std::string> languages) {
  out.clear();
  impl_->text.assign(text);
  impl_->languages.clear();
  for (const std::string& language : languages) impl_->languages.push_back(language_id(language));
  impl_->stop_language = guess_language(impl_->text.characters(), {impl_->languages, 1.0});
  if (languages.empty()) impl_->languages.push_back(impl_->stop_language);
  impl_->is_query = true;
  impl_->run(out);

  const std::vector<bool>& is_function = impl_->is_function_term;
  if (std::find(is_function.begin(), is_function.end(), false) == is_function.end()) return;
  size_t kept = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    if (is_function[i]) continue;
    if (kept != i) out[kept] = std::move(out[i]);
    ++kept;
  }
  out.resize(kept);
}

std::string Analyzer::version() {
  return "lectern-1/" + unicode_version() + "/snowball-2.2";
}

}  // namespace lectern
