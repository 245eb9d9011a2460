#include "engine/tokenizer.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "engine/grammar_vocabulary.h"
#include "engine/tokenizer_bpe.h"
#include "engine/tokenizer_normalize.h"
#include "engine/tokenizer_words.h"

namespace lectern {
namespace {

using TokenType = Vocabulary::TokenType;

// Repairing and normalising may triple a text, and positions in it are kept in 32 bits.
constexpr size_t kMaxTextBytes = size_t{1} << 29;

void check(const Vocabulary& vocabulary, const std::string& origin) {
  if (vocabulary.types.size() != vocabulary.tokens.size())
    throw Error(ErrorCode::kCorrupt, origin + ": the vocabulary has " +
                                         std::to_string(vocabulary.tokens.size()) + " tokens but " +
                                         std::to_string(vocabulary.types.size()) + " token types");
  if (vocabulary.tokens.size() > INT32_MAX)
    throw Error(ErrorCode::kCorrupt, origin + ": the vocabulary is absurdly large");
}

}  // namespace

struct Tokenizer::Impl {
  Impl(const Vocabulary& vocabulary, const std::string& origin_in)
      : origin(origin_in), merger((check(vocabulary, origin_in), vocabulary), origin_in) {
    size_t n_tokens = vocabulary.tokens.size();
    while (n_tokens > 0 && vocabulary.types[n_tokens - 1] == TokenType::kUnused) --n_tokens;
    types.assign(vocabulary.types.begin(), vocabulary.types.begin() + static_cast<std::ptrdiff_t>(n_tokens));
    ends.resize(n_tokens);
    for (size_t id = 0; id < n_tokens; ++id) {
      const TokenType type = vocabulary.types[id];
      if (type == TokenType::kNormal) bytes += token_text_to_bytes(vocabulary.tokens[id]);
      if (type == TokenType::kAdded) bytes += vocabulary.tokens[id];
      if (type == TokenType::kControl || type == TokenType::kAdded)
        control_tokens.emplace(vocabulary.tokens[id], static_cast<int32_t>(id));
      ends[id] = bytes.size();
    }
  }

  // Calls visit() with every word of the text in order.
  template <typename Visit>
  static void for_each_word(std::string_view text, Visit visit) {
    if (text.size() > kMaxTextBytes)
      throw Error(ErrorCode::kResourceExhausted, "a text of " + std::to_string(text.size()) +
                                                     " bytes is too long to tokenize at once (at most " +
                                                     std::to_string(kMaxTextBytes) + "); split it");
    std::string storage;
    const std::string_view normalized = normalize(text, storage);
    for (size_t begin = 0; begin < normalized.size();) {
      const size_t end = word_end(normalized, begin);
      visit(normalized.substr(begin, end - begin));
      begin = end;
    }
  }

  std::string_view bytes_of(size_t id) const {
    const size_t begin = id == 0 ? 0 : ends[id - 1];
    return std::string_view(bytes).substr(begin, ends[id] - begin);
  }

  bool contains(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < types.size(); }

  std::string origin;
  BytePairMerger merger;
  std::string bytes;         // of all tokens, one after another
  std::vector<size_t> ends;  // of each token in `bytes`
  std::vector<TokenType> types;
  std::unordered_map<std::string, int32_t> control_tokens;
  std::once_flag grammar_vocabulary_built;
  std::shared_ptr<const GrammarVocabulary> grammar_vocabulary;
};

Tokenizer::Tokenizer(const Vocabulary& vocabulary, const std::string& origin)
    : impl_(std::make_unique<Impl>(vocabulary, origin)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  encode(text, ids);
  return ids;
}

void Tokenizer::encode(std::string_view text, std::vector<int32_t>& append_to) const {
  Impl::for_each_word(text, [&](std::string_view word) { impl_->merger.encode(word, append_to); });
}

int Tokenizer::count(std::string_view text) const {
  size_t n_tokens = 0;
  std::vector<int32_t> word_tokens;
  Impl::for_each_word(text, [&](std::string_view word) {
    word_tokens.clear();
    impl_->merger.encode(word, word_tokens);
    n_tokens += word_tokens.size();
  });
  return static_cast<int>(n_tokens);
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (!impl_->contains(id)) return {};
  return impl_->bytes_of(static_cast<size_t>(id));
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += token_bytes(id);
  return text;
}

int32_t Tokenizer::control_token(std::string_view text) const {
  const auto found = impl_->control_tokens.find(std::string(text));
  if (found == impl_->control_tokens.end())
    throw Error(ErrorCode::kCorrupt, impl_->origin + ": the vocabulary has no control token " +
                                         std::string(text) + "; it is not a Qwen2 chat model");
  return found->second;
}

bool Tokenizer::has_control_token(std::string_view text) const {
  return impl_->control_tokens.contains(std::string(text));
}

bool Tokenizer::is_control(int32_t id) const {
  if (!impl_->contains(id)) return true;
  const TokenType type = impl_->types[static_cast<size_t>(id)];
  return type == TokenType::kControl || type == TokenType::kUnused;
}

std::shared_ptr<const GrammarVocabulary> Tokenizer::grammar_vocabulary() const {
  std::call_once(impl_->grammar_vocabulary_built, [&] {
    std::vector<std::pair<std::string_view, int32_t>> vocabulary;
    for (size_t id = 0; id < impl_->types.size(); ++id)
      if (impl_->types[id] == TokenType::kNormal)
        vocabulary.emplace_back(impl_->bytes_of(id), static_cast<int32_t>(id));
    impl_->grammar_vocabulary = std::make_shared<const GrammarVocabulary>(std::move(vocabulary), size());
  });
  return impl_->grammar_vocabulary;
}

int32_t Tokenizer::size() const {
  return static_cast<int32_t>(impl_->types.size());
}

}  // namespace lectern
