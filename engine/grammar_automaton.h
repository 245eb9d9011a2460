// A grammar as a short program over bytes. Counters (characters of a string, items of an array) live in the
// position, not in the program, so that bounds cost nothing. No instruction reads ahead: a number or a choice
// ends where the next byte cannot belong to it. Every position reached from start() can still reach the end.
// Immutable once built, safe from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/grammar_vocabulary.h"

namespace lectern {

class GrammarAutomaton {
 public:
  static constexpr int kMaxArrayDepth = 6;
  static constexpr uint32_t kMaxCount = 65535;  // of characters or items

  struct Counter {
    uint16_t need = 0;  // at least so many must still come
    uint16_t room = 0;  // at most so many may still come
    bool operator==(const Counter&) const = default;
    void take_one() {
      --room;
      if (need > 0) --need;
    }
  };

  // How far a text has come. Plain data without padding: compared and hashed as it lies in memory.
  struct Position {
    uint32_t instruction = 0;
    uint32_t detail = 0;                        // where in the instruction
    Counter characters;                         // of the string at hand
    std::array<Counter, kMaxArrayDepth> items;  // of the arrays around it, outermost first
    bool operator==(const Position&) const = default;
  };

  // Building: the instructions follow each other. Throws Error(kUnsupported) when the program grows too
  // large.
  void add_literal(std::string_view bytes);
  void add_string(uint32_t min_length, uint32_t max_length);  // a JSON string of so many code points
  void add_number(bool integer);
  void add_choice(std::span<const std::string> options);  // none empty
  void add_any_object();  // a JSON object of any members, within bounds; alone
  void begin_array(uint32_t min_items, uint32_t max_items);
  void end_array();

  Position start() const;
  // Takes one byte; false when it cannot follow (the position is then meaningless).
  bool step(Position& position, uint8_t byte) const;
  // The text up to here is a sentence.
  bool complete(Position position) const;
  // Nothing can follow.
  bool finished(const Position& position) const;

  // A position that allows the same tokens and is the same for as many positions as possible: counters so
  // large that no token can exhaust them are cut down. Key of cached masks.
  Position shared(Position position, const GrammarVocabulary& vocabulary) const;
  // Sets the bit of every token that can follow; `mask` is all zero before.
  void allowed_tokens(const Position& position, const GrammarVocabulary& vocabulary,
                      std::span<uint64_t> mask) const;

 private:
  enum class Kind : uint8_t {
    kLiteral,
    kString,
    kInteger,
    kNumber,
    kChoice,
    kArrayOpen,
    kArrayNext,
    kAnyObject
  };

  struct Instruction {
    Kind kind;
    uint8_t array_depth = 0;  // kArray*: index of its counter
    uint16_t min = 0, max = 0;
    uint32_t begin = 0, end = 0;  // kLiteral: bytes in literals_; kChoice: begin is the root
    uint32_t target = 0;          // kArrayOpen: after the array; kArrayNext: the items' first instruction
  };

  // A choice is a tree of bytes.
  struct ChoiceNode {
    uint32_t first_child = 0, next_sibling = 0;  // 0: none
    uint8_t byte = 0;
    bool terminal = false;
  };

  void append(const Instruction& instruction);
  void enter(Position& position, uint32_t instruction) const;
  uint32_t choice_child(uint32_t node, uint8_t byte) const;
  bool may_end(const Position& position) const;
  bool step_string(Position& position, uint8_t byte) const;
  bool between_characters(const Position& position) const;
  void walk(const Position& position, const TokenTrie& tokens, std::span<uint64_t> mask) const;

  std::vector<Instruction> program_;
  std::string literals_;
  std::vector<ChoiceNode> choices_;
  std::vector<uint32_t> open_arrays_;
};

}  // namespace lectern
