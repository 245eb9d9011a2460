// Constrained decoding: a small grammar says which tokens may come next, as a bit mask over the vocabulary.
// A Grammar is immutable and shared, safe from any thread; a GrammarState belongs to one generation.
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
  // A JSON value described by a subset of JSON Schema: type (object, array, string, integer, number, boolean,
  // null), properties (all are written, in the order given), required, additionalProperties (true or false),
  // items, minItems, maxItems, enum and const (of scalars), minLength, maxLength (code points); title,
  // description, default, examples, $schema, $id and $comment say nothing. Without maxLength a string has at
  // most 1024 characters, without maxItems an array 32 items. Numbers have up to 15 digits before and after
  // the point and no exponent; strings hold any characters, with the escapes \" \\ \/ \b \f \n \r \t (no \u:
  // other characters stand for themselves). One space after ':' and ',', none elsewhere. Throws
  // Error(kUnsupported) naming a keyword it does not know and where it stands, kInvalidArgument for bad
  // values.
  static std::shared_ptr<const Grammar> from_json_schema(const Json& schema);
  // A JSON object of any members, with the bounds of grammar_any_object.h: 6 levels, 64 members a level, keys
  // of 64 and texts of 1,024 characters, numbers as above.
  static std::shared_ptr<const Grammar> any_json_object();
  // Exactly one of the strings. Throws Error(kInvalidArgument) for no options, an empty one, or one that is
  // not UTF-8.
  static std::shared_ptr<const Grammar> choice(std::span<const std::string> options);

  ~Grammar();

 private:
  friend class GrammarState;
  struct Impl;
  explicit Grammar(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class GrammarState {
 public:
  GrammarState(std::shared_ptr<const Grammar> grammar, const Tokenizer& tokenizer);
  ~GrammarState();
  GrammarState(GrammarState&&) noexcept;

  // One bit an id, (tokenizer.size() + 63) / 64 words. End-of-turn is not part of it: see complete(). Every
  // token it allows can be followed to a complete sentence. Valid until the next call of mask() or accept().
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
