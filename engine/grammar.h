// Constrained decoding: a small grammar says which tokens may come next, as a bit mask over the vocabulary.
// A Grammar is immutable and shared; a GrammarState belongs to one generation.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/tokenizer.h"

namespace lectern {

class Grammar {
 public:
  // A JSON object/array/string/number/boolean/enum described by a subset of JSON Schema: type, properties
  // (all required, in the order given), items, minItems, maxItems, enum, const, minLength, maxLength (code
  // points). Compact output with one space after ':' and ','. Throws Error(kUnsupported) naming the keyword
  // it does not know.
  static std::shared_ptr<const Grammar> from_json_schema(const Json& schema);
  // Exactly one of the strings.
  static std::shared_ptr<const Grammar> choice(std::span<const std::string> options);

  virtual ~Grammar() = default;
};

class GrammarState {
 public:
  GrammarState(std::shared_ptr<const Grammar> grammar, const Tokenizer& tokenizer);
  ~GrammarState();
  GrammarState(GrammarState&&) noexcept;

  // One bit an id, (tokenizer.size() + 63) / 64 words. End-of-turn is not part of it: see complete().
  std::span<const uint64_t> mask();
  // Appends a token that mask() allows.
  void accept(int32_t token);
  // The text so far is a complete sentence of the grammar, so the generation may stop.
  bool complete() const;
  // Nothing can follow: the generation must stop.
  bool finished() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lectern
