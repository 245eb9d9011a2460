#include "engine/grammar.h"

#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "engine/grammar_automaton.h"
#include "engine/grammar_schema.h"

namespace lectern {
namespace {

using Position = GrammarAutomaton::Position;
using Mask = std::vector<uint64_t>;

// Masks of one grammar and vocabulary that are kept for later generations: 256 of 19 KB each for Qwen2.
constexpr size_t kMaxCachedMasks = 256;

struct PositionHash {
  size_t operator()(const Position& position) const {
    static_assert(std::has_unique_object_representations_v<Position>);
    return fnv1a({reinterpret_cast<const char*>(&position), sizeof(position)});
  }
};

}  // namespace

struct Grammar::Impl {
  using Masks = std::unordered_map<Position, std::shared_ptr<const Mask>, PositionHash>;
  using Vocabulary = std::shared_ptr<const GrammarVocabulary>;
  struct VocabularyMasks {
    Vocabulary vocabulary;
    Masks masks;
  };

  std::shared_ptr<const Mask> mask(const Position& position, const Vocabulary& vocabulary, size_t n_words) {
    const Position key = automaton.shared(position, *vocabulary);
    {
      const std::lock_guard lock(mutex);
      const Masks& masks = masks_of(vocabulary);
      if (const auto found = masks.find(key); found != masks.end()) return found->second;
    }
    auto mask = std::make_shared<Mask>(n_words);
    automaton.allowed_tokens(key, *vocabulary, *mask);
    const std::lock_guard lock(mutex);
    Masks& masks = masks_of(vocabulary);
    if (masks.size() >= kMaxCachedMasks) masks.clear();
    return masks.emplace(key, std::move(mask)).first->second;
  }

  // Few vocabularies meet one grammar: models in use at the same time.
  Masks& masks_of(const Vocabulary& vocabulary) {
    for (VocabularyMasks& known : vocabularies)
      if (known.vocabulary == vocabulary) return known.masks;
    return vocabularies.emplace_back(VocabularyMasks{vocabulary, {}}).masks;
  }

  GrammarAutomaton automaton;
  std::mutex mutex;
  std::vector<VocabularyMasks> vocabularies;
};

Grammar::Grammar(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Grammar::~Grammar() = default;

std::shared_ptr<const Grammar> Grammar::from_json_schema(const Json& schema) {
  auto impl = std::make_unique<Impl>();
  impl->automaton = compile_json_schema(schema);
  return std::shared_ptr<const Grammar>(new Grammar(std::move(impl)));
}

std::shared_ptr<const Grammar> Grammar::any_json_object() {
  auto impl = std::make_unique<Impl>();
  impl->automaton.add_any_object();
  return std::shared_ptr<const Grammar>(new Grammar(std::move(impl)));
}

std::shared_ptr<const Grammar> Grammar::choice(std::span<const std::string> options) {
  if (options.empty()) throw Error(ErrorCode::kInvalidArgument, "a choice needs at least one option");
  for (const std::string& option : options)
    if (option.empty() || !utf8::is_valid(option))
      throw Error(ErrorCode::kInvalidArgument, "an option of a choice is empty or not UTF-8");
  auto impl = std::make_unique<Impl>();
  impl->automaton.add_choice(options);
  return std::shared_ptr<const Grammar>(new Grammar(std::move(impl)));
}

struct GrammarState::Impl {
  std::shared_ptr<const Grammar> grammar;
  const Tokenizer* tokenizer;
  std::shared_ptr<const GrammarVocabulary> vocabulary;
  Position position;
  std::shared_ptr<const Mask> mask;  // of the position; null until asked for

  const GrammarAutomaton& automaton() const { return grammar->impl_->automaton; }
};

GrammarState::GrammarState(std::shared_ptr<const Grammar> grammar, const Tokenizer& tokenizer)
    : impl_(std::make_unique<Impl>()) {
  impl_->grammar = std::move(grammar);
  impl_->tokenizer = &tokenizer;
  impl_->vocabulary = tokenizer.grammar_vocabulary();
  impl_->position = impl_->automaton().start();
}
GrammarState::~GrammarState() = default;
GrammarState::GrammarState(GrammarState&&) noexcept = default;

std::span<const uint64_t> GrammarState::mask() {
  if (!impl_->mask) {
    const size_t n_words = (static_cast<size_t>(impl_->tokenizer->size()) + 63) / 64;
    impl_->mask = impl_->grammar->impl_->mask(impl_->position, impl_->vocabulary, n_words);
  }
  return *impl_->mask;
}

void GrammarState::accept(int32_t token) {
  const std::string_view bytes = impl_->tokenizer->token_bytes(token);
  LECTERN_CHECK(!bytes.empty());
  for (const char byte : bytes)
    LECTERN_CHECK(impl_->automaton().step(impl_->position, static_cast<uint8_t>(byte)));
  impl_->mask.reset();
}

bool GrammarState::complete() const {
  return impl_->automaton().complete(impl_->position);
}

bool GrammarState::finished() const {
  return impl_->automaton().finished(impl_->position);
}

}  // namespace lectern
