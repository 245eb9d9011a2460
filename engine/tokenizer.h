// Byte-level BPE with the Qwen2 pre-tokenizer, token for token equal to the reference tokenizer. Control
// tokens are never produced from text: only the chat template asks for them by name. Thread-safe after
// construction.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model_file.h"

namespace lectern {

class GrammarVocabulary;

class Tokenizer {
 public:
  explicit Tokenizer(const Vocabulary& vocabulary, const std::string& origin);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  // Any bytes: ill-formed UTF-8 is repaired to U+FFFD, then NFC, as the reference does. "<|im_end|>" in the
  // text is text.
  std::vector<int32_t> encode(std::string_view text) const;
  void encode(std::string_view text, std::vector<int32_t>& append_to) const;
  // Number of tokens, without keeping them.
  int count(std::string_view text) const;

  // The bytes of a token; control tokens give "" (they are not text). May be a part of a UTF-8 sequence.
  std::string_view token_bytes(int32_t id) const;
  // The bytes of the tokens, one after another: well-formed UTF-8 only if the tokens are whole characters.
  std::string decode(std::span<const int32_t> ids) const;

  // Id of a control or added token such as "<|im_end|>" or "<tool_call>"; throws Error(kCorrupt) when the
  // vocabulary lacks it.
  int32_t control_token(std::string_view text) const;
  bool has_control_token(std::string_view text) const;
  // True for ids that are not text: control and unused tokens, and ids outside [0, size()).
  bool is_control(int32_t id) const;
  // Ids the sampler may produce are [0, size()); the model's vocabulary may have more rows.
  int32_t size() const;

  // The tokens of text, without control and added ones: what grammars choose from. Built at the first call.
  std::shared_ptr<const GrammarVocabulary> grammar_vocabulary() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lectern
