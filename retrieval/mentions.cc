#include "retrieval/mentions.h"

#include <algorithm>

namespace lectern {
namespace {

constexpr size_t kMaxNameBytes = 1024;

uint64_t mixed(uint64_t hash, uint64_t value) {
  uint64_t z = hash * 0x9E3779B97F4A7C15u + value + 1;  // SplitMix64's finish (Steele, Lea, Flood 2014)
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

struct NameToken {
  uint64_t hash = 0;
  size_t begin = 0, end = 0;  // bytes
  bool is_word = true;        // else one character of a script without spaces
};

bool continues_word(CharClass char_class) {
  return char_class == CharClass::kLetter || char_class == CharClass::kDigit ||
         char_class == CharClass::kMark;
}

std::vector<NameToken> name_tokens(std::string_view text, FoldedText& folded) {
  folded.assign(text);
  const std::vector<Character>& characters = folded.characters();
  std::vector<NameToken> tokens;
  for (size_t i = 0; i < characters.size();) {
    NameToken token;
    token.begin = characters[i].begin;
    const CharClass first = characters[i].char_class;
    token.is_word = first == CharClass::kLetter || first == CharClass::kDigit;
    const bool is_character =
        first == CharClass::kHanKana || first == CharClass::kHangul || first == CharClass::kDictionary;
    if (!token.is_word && !is_character) {
      ++i;
      continue;
    }
    do {
      if (const char32_t base = char_info(characters[i].code_point).base; base != 0)  // without accents
        token.hash = mixed(token.hash, base);
      token.end = characters[i].end;
      ++i;
    } while (token.is_word && i < characters.size() && continues_word(characters[i].char_class));
    tokens.push_back(token);
  }
  return tokens;
}

// "Theodred II (Bishop of Elmham)" to "Theodred II"; the whole when nothing else is left.
std::string_view without_bracket(std::string_view name) {
  constexpr std::string_view kWideOpen = "（", kWideClose = "）";
  while (name.ends_with(' ')) name.remove_suffix(1);
  size_t open = std::string_view::npos;
  if (name.ends_with(')')) open = name.rfind('(');
  if (name.ends_with(kWideClose)) open = name.rfind(kWideOpen);
  return open == std::string_view::npos || open == 0 ? name : name.substr(0, open);
}

// Where links lead, as ranges of bytes, ascending: "[[target|alias]]", "[text](target)".
std::vector<std::pair<size_t, size_t>> link_targets(std::string_view text) {
  std::vector<std::pair<size_t, size_t>> targets;
  for (size_t i = text.find_first_of("[]"); i != std::string_view::npos; i = text.find_first_of("[]", i)) {
    const std::string_view two = text.substr(i, 2);
    if (two == "[[" || two == "](") {
      const std::string_view rest = text.substr(i + 2, kMaxNameBytes);
      const size_t end = rest.find_first_of(two == "[[" ? "]|#^\n" : ")#\n");
      if (end != std::string_view::npos) targets.emplace_back(i + 2, i + 2 + end);
      i += 2;
    } else {
      ++i;
    }
  }
  return targets;
}

}  // namespace

void MentionDictionary::add(std::string_view name, int64_t document, FoldedText& folded) {
  if (name.size() > kMaxNameBytes) return;
  add_exact(name, document, folded);
  if (const std::string_view bare = without_bracket(name); bare.size() < name.size())
    add_exact(bare, document, folded);
}

void MentionDictionary::add_exact(std::string_view name, int64_t document, FoldedText& folded) {
  const std::vector<NameToken> tokens = name_tokens(name, folded);
  if (tokens.empty() || tokens.size() > kMaxNameTokens) return;
  if (tokens.size() == 1 && !tokens[0].is_word) return;
  uint64_t hash = 0;
  for (const NameToken& token : tokens) hash = mixed(hash, token.hash);
  names_.emplace_back(hash, document);
  beginnings_.push_back({tokens[0].hash, uint64_t{1} << tokens.size()});
}

void MentionDictionary::seal() {
  std::sort(names_.begin(), names_.end());
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
  for (size_t i = 0, end = 0; i < names_.size(); i = end) {
    while (end < names_.size() && names_[end].first == names_[i].first) ++end;
    if (end - i > kMaxNamesakes) continue;
    for (size_t k = i; k < end; ++k) {
      name_hashes_.push_back(names_[k].first);
      documents_.push_back(names_[k].second);
    }
  }
  names_ = decltype(names_)();  // "= {}" would keep the memory
  name_hashes_.shrink_to_fit();
  documents_.shrink_to_fit();
  std::sort(beginnings_.begin(), beginnings_.end(),
            [](const Beginning& a, const Beginning& b) { return a.token < b.token; });
  size_t kept = 0;
  for (const Beginning& beginning : beginnings_) {
    if (kept > 0 && beginnings_[kept - 1].token == beginning.token)
      beginnings_[kept - 1].lengths |= beginning.lengths;
    else
      beginnings_[kept++] = beginning;
  }
  beginnings_.resize(kept);
  beginnings_.shrink_to_fit();
}

std::span<const int64_t> MentionDictionary::documents_of(uint64_t name) const {
  const auto [first, last] = std::equal_range(name_hashes_.begin(), name_hashes_.end(), name);
  return std::span(documents_)
      .subspan(static_cast<size_t>(first - name_hashes_.begin()), static_cast<size_t>(last - first));
}

std::vector<Mention> MentionDictionary::find(std::string_view text, FoldedText& folded) const {
  std::vector<Mention> mentions;
  if (documents_.empty()) return mentions;
  const std::vector<NameToken> tokens = name_tokens(text, folded);
  const auto targets = link_targets(text);
  auto target = targets.begin();
  for (size_t i = 0; i < tokens.size();) {
    const auto beginning =
        std::lower_bound(beginnings_.begin(), beginnings_.end(), tokens[i].hash,
                         [](const Beginning& a, uint64_t token) { return a.token < token; });
    size_t length = 0;
    Mention mention;
    if (beginning != beginnings_.end() && beginning->token == tokens[i].hash) {
      uint64_t hash = 0;
      for (size_t n = 1; i + n <= tokens.size() && beginning->lengths >> n != 0; ++n) {
        hash = mixed(hash, tokens[i + n - 1].hash);
        if ((beginning->lengths >> n & 1) == 0) continue;
        if (const auto documents = documents_of(hash); !documents.empty()) {
          mention.documents = documents;
          length = n;
        }
      }
    }
    if (length == 0) {
      ++i;
      continue;
    }
    mention.begin = tokens[i].begin;
    mention.end = tokens[i + length - 1].end;
    mention.is_word = length == 1 || (length == 2 && !tokens[i].is_word && !tokens[i + 1].is_word);
    while (target != targets.end() && target->second < mention.end) ++target;
    mention.is_link = target != targets.end() && target->first <= mention.begin;
    mentions.push_back(mention);
    i += length;
  }
  return mentions;
}

size_t MentionDictionary::bytes() const {
  return beginnings_.capacity() * sizeof(Beginning) + name_hashes_.capacity() * sizeof(uint64_t) +
         documents_.capacity() * sizeof(int64_t) + names_.capacity() * sizeof(names_[0]);
}

}  // namespace lectern
