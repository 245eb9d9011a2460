#include "engine/grammar_automaton.h"

#include <algorithm>

#include "base/error.h"
#include "engine/grammar_any_object.h"
#include "engine/grammar_number.h"
#include "engine/grammar_string.h"

namespace lectern {
namespace {

constexpr size_t kMaxInstructions = 10000;
constexpr size_t kMaxBytes = size_t{1} << 20;  // of literals, and of choices

// Where in a string, as `detail`: before its opening quote, or a StringState above it.
constexpr uint32_t kOpening = 0;
constexpr uint32_t detail_of(StringState state) {
  return static_cast<uint32_t>(state) + 1;
}
constexpr StringState state_of(uint32_t detail) {
  return static_cast<StringState>(detail - 1);
}

}  // namespace

void GrammarAutomaton::append(const Instruction& instruction) {
  if (program_.size() >= kMaxInstructions || literals_.size() > kMaxBytes || choices_.size() > kMaxBytes)
    throw Error(ErrorCode::kUnsupported, "the grammar is too large");
  program_.push_back(instruction);
}

void GrammarAutomaton::add_literal(std::string_view bytes) {
  const auto begin = static_cast<uint32_t>(literals_.size());
  literals_ += bytes;
  append({.kind = Kind::kLiteral, .begin = begin, .end = static_cast<uint32_t>(literals_.size())});
}

void GrammarAutomaton::add_string(uint32_t min_length, uint32_t max_length) {
  append({.kind = Kind::kString,
          .min = static_cast<uint16_t>(min_length),
          .max = static_cast<uint16_t>(max_length)});
}

void GrammarAutomaton::add_number(bool integer) {
  append({.kind = integer ? Kind::kInteger : Kind::kNumber});
}

void GrammarAutomaton::add_any_object() {
  LECTERN_CHECK(program_.empty());  // its levels are counted where those of arrays are
  append({.kind = Kind::kAnyObject});
}

void GrammarAutomaton::add_choice(std::span<const std::string> options) {
  const auto root = static_cast<uint32_t>(choices_.size());
  choices_.emplace_back();
  for (const std::string& option : options) {
    uint32_t node = root;
    for (const char c : option) {
      const auto byte = static_cast<uint8_t>(c);
      uint32_t child = choice_child(node, byte);
      if (child == 0) {
        child = static_cast<uint32_t>(choices_.size());
        choices_.push_back({0, choices_[node].first_child, byte, false});
        choices_[node].first_child = child;
      }
      node = child;
    }
    choices_[node].terminal = true;
    if (choices_.size() > kMaxBytes) break;  // append() reports it
  }
  append({.kind = Kind::kChoice, .begin = root});
}

void GrammarAutomaton::begin_array(uint32_t min_items, uint32_t max_items) {
  if (open_arrays_.size() == kMaxArrayDepth)
    throw Error(ErrorCode::kUnsupported,
                "arrays are nested deeper than " + std::to_string(kMaxArrayDepth) + " levels");
  open_arrays_.push_back(static_cast<uint32_t>(program_.size()));
  append({.kind = Kind::kArrayOpen,
          .array_depth = static_cast<uint8_t>(open_arrays_.size() - 1),
          .min = static_cast<uint16_t>(min_items),
          .max = static_cast<uint16_t>(max_items)});
}

void GrammarAutomaton::end_array() {
  const uint32_t open = open_arrays_.back();
  open_arrays_.pop_back();
  append({.kind = Kind::kArrayNext, .array_depth = program_[open].array_depth, .target = open + 1});
  program_[open].target = static_cast<uint32_t>(program_.size());
}

// Positions at the beginning of an instruction are the same however they were reached.
void GrammarAutomaton::enter(Position& position, uint32_t instruction) const {
  position.instruction = instruction;
  position.detail = 0;
  position.characters = {};
  if (instruction >= program_.size()) return;
  const Instruction& entered = program_[instruction];
  if (entered.kind == Kind::kChoice) position.detail = entered.begin;
  if (entered.kind == Kind::kString) position.characters = {entered.min, entered.max};
}

GrammarAutomaton::Position GrammarAutomaton::start() const {
  Position position;
  enter(position, 0);
  return position;
}

uint32_t GrammarAutomaton::choice_child(uint32_t node, uint8_t byte) const {
  uint32_t child = choices_[node].first_child;
  while (child != 0 && choices_[child].byte != byte) child = choices_[child].next_sibling;
  return child;
}

// At an instruction that may end without another byte of its own.
bool GrammarAutomaton::may_end(const Position& position) const {
  switch (program_[position.instruction].kind) {
    case Kind::kInteger:
    case Kind::kNumber:
      return number_may_end(position.detail);
    case Kind::kChoice:
      return choices_[position.detail].terminal;
    default:
      return false;
  }
}

bool GrammarAutomaton::between_characters(const Position& position) const {
  if (position.instruction >= program_.size()) return false;
  const Kind kind = program_[position.instruction].kind;
  return (kind == Kind::kString && position.detail == detail_of(StringState::kBetween)) ||
         (kind == Kind::kAnyObject && any_object_between_characters(position));
}

bool GrammarAutomaton::step_string(Position& position, uint8_t byte) const {
  if (position.detail == kOpening) {
    position.detail = detail_of(StringState::kBetween);
    return byte == '"';
  }
  const StringState state = state_of(position.detail), next = next_in_string(state, byte);
  if (next == StringState::kRejected) return false;
  if (next == StringState::kClosed) {
    if (position.characters.need > 0) return false;
    enter(position, position.instruction + 1);
    return true;
  }
  if (state == StringState::kBetween) {
    if (position.characters.room == 0) return false;
    position.characters.take_one();
  }
  position.detail = detail_of(next);
  return true;
}

bool GrammarAutomaton::step(Position& position, uint8_t byte) const {
  while (position.instruction < program_.size()) {
    const Instruction& instruction = program_[position.instruction];
    Counter& items = position.items[instruction.array_depth];
    switch (instruction.kind) {
      case Kind::kLiteral:
        if (static_cast<uint8_t>(literals_[instruction.begin + position.detail]) != byte) return false;
        if (instruction.begin + ++position.detail == instruction.end)
          enter(position, position.instruction + 1);
        return true;
      case Kind::kString:
        return step_string(position, byte);
      case Kind::kAnyObject:
        switch (step_any_object(position, byte)) {
          case AnyObjectStep::kRejected:
            return false;
          case AnyObjectStep::kEnded:
            enter(position, position.instruction + 1);
            return true;
          case AnyObjectStep::kTaken:
            return true;
        }
        return false;
      case Kind::kInteger:
      case Kind::kNumber:
        if (step_number(position.detail, instruction.kind == Kind::kInteger, byte)) return true;
        if (!number_may_end(position.detail)) return false;
        enter(position, position.instruction + 1);
        break;
      case Kind::kChoice:
        if (const uint32_t child = choice_child(position.detail, byte); child != 0) {
          position.detail = child;
          if (choices_[child].first_child == 0) enter(position, position.instruction + 1);
          return true;
        }
        if (!choices_[position.detail].terminal) return false;
        enter(position, position.instruction + 1);
        break;
      case Kind::kArrayOpen:  // detail 0: before the bracket, 1: before the first item
        if (position.detail == 0) {
          if (byte != '[') return false;
          items = {instruction.min, instruction.max};
          position.detail = 1;
          return true;
        }
        if (byte == ']') {
          if (items.need > 0) return false;
          items = {};
          enter(position, instruction.target);
          return true;
        }
        if (items.room == 0) return false;
        items.take_one();
        enter(position, position.instruction + 1);
        break;
      case Kind::kArrayNext:  // detail 0: after an item, 1: after the comma
        if (position.detail == 1) {
          if (byte != ' ') return false;
          items.take_one();
          enter(position, instruction.target);
          return true;
        }
        if (byte == ',' && items.room > 0) {
          position.detail = 1;
          return true;
        }
        if (byte != ']' || items.need > 0) return false;
        items = {};
        enter(position, position.instruction + 1);
        return true;
    }
  }
  return false;
}

bool GrammarAutomaton::complete(Position position) const {
  while (position.instruction < program_.size()) {
    if (!may_end(position)) return false;
    enter(position, position.instruction + 1);
  }
  return true;
}

bool GrammarAutomaton::finished(const Position& position) const {
  if (position.instruction >= program_.size()) return true;
  for (int byte = 0; byte < 256; ++byte) {
    Position next = position;
    if (step(next, static_cast<uint8_t>(byte))) return false;
  }
  return true;
}

GrammarAutomaton::Position GrammarAutomaton::shared(Position position,
                                                    const GrammarVocabulary& vocabulary) const {
  const auto cut = [](Counter& counter, int most) {
    counter.need = std::min(counter.need, static_cast<uint16_t>(most));
    counter.room = std::min(counter.room, static_cast<uint16_t>(most));
  };
  cut(position.characters, TokenTrie::kMaxTokenBytes + 1);
  // A token that begins before an item and ends after a comma starts two items more than it has ", ".
  for (Counter& items : position.items) cut(items, vocabulary.tokens().max_separators() + 3);
  return position;
}

void GrammarAutomaton::allowed_tokens(const Position& position, const GrammarVocabulary& vocabulary,
                                      std::span<uint64_t> mask) const {
  if (!between_characters(position)) return walk(position, vocabulary.tokens(), mask);
  const auto inside = vocabulary.inside_tokens(position.characters.room);
  std::copy(inside.begin(), inside.end(), mask.begin());
  walk(position, vocabulary.closing_tokens(), mask);
}

void GrammarAutomaton::walk(const Position& position, const TokenTrie& tokens,
                            std::span<uint64_t> mask) const {
  std::array<Position, TokenTrie::kMaxTokenBytes + 1> path;  // by depth
  path[0] = position;
  const std::span<const TokenTrie::Node> nodes = tokens.nodes();
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    Position& here = path[node.depth];
    here = path[node.depth - 1];
    if (!step(here, node.byte)) {
      i = node.subtree_end;
      continue;
    }
    if (node.token >= 0) mask[static_cast<size_t>(node.token) / 64] |= uint64_t{1} << (node.token % 64);
    ++i;
  }
}

}  // namespace lectern
