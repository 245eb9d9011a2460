#include "engine/grammar_any_object.h"

#include "engine/grammar_number.h"
#include "engine/grammar_string.h"

namespace lectern {
namespace {

using Position = GrammarAutomaton::Position;

constexpr uint16_t kMaxMembers = 64, kMaxKeyLength = 64, kMaxTextLength = 1024;
constexpr std::string_view kWords[] = {"true", "false", "null"};

enum Phase : uint32_t {
  kBegin,       // before the object
  kFirstKey,    // after '{'
  kKey,         // after ", " in an object
  kInKey,       // in a string; StringState
  kColon,       // after a key
  kColonSpace,  // after ':'
  kValue,       // before a value
  kFirstItem,   // after '['
  kInText,      // in a string; StringState
  kInNumber,    // NumberState and digits
  kInWord,      // which word, and how many of its bytes have come
  kAfter,       // after a value
  kCommaSpace,  // after ','
};

// Position::detail taken apart: 4 bits phase, 8 bits state within it, 3 bits depth, one bit a level that says
// whether it is an array. Position::items counts the members that a level may still get.
struct Place {
  uint32_t phase, state, depth, arrays;

  explicit Place(uint32_t detail)
      : phase(detail & 15), state((detail >> 4) & 255), depth((detail >> 12) & 7), arrays(detail >> 15) {}
  uint32_t detail() const { return phase | state << 4 | depth << 12 | arrays << 15; }
  bool in_array() const { return (arrays >> (depth - 1) & 1) != 0; }
};

void open_level(Place& place, Position& position, bool array) {
  position.items[place.depth] = {0, kMaxMembers};
  const uint32_t bit = 1U << place.depth;
  place.arrays = array ? place.arrays | bit : place.arrays & ~bit;
  ++place.depth;
  place.phase = array ? kFirstItem : kFirstKey;
}

bool close_level(Place& place, Position& position, uint8_t byte) {
  if (byte != (place.in_array() ? ']' : '}')) return false;
  --place.depth;
  place.arrays &= (1U << place.depth) - 1;
  position.items[place.depth] = {};
  place.phase = kAfter;
  return true;
}

void begin_string(Place& place, Position& position, Phase phase, uint16_t most) {
  place.phase = phase;
  place.state = static_cast<uint32_t>(StringState::kBetween);
  position.characters = {0, most};
}

// A member begins: of those that its level has room for.
bool begin_value(Place& place, Position& position, uint8_t byte) {
  if (byte == '"') {
    begin_string(place, position, kInText, kMaxTextLength);
  } else if (byte == '{' || byte == '[') {
    if (place.depth == GrammarAutomaton::kMaxArrayDepth) return false;
    open_level(place, position, byte == '[');
  } else if (uint32_t number = kNumberStart; step_number(number, false, byte)) {
    place.phase = kInNumber;
    place.state = number;
  } else {
    for (uint32_t word = 0; word < 3; ++word) {
      if (byte != static_cast<uint8_t>(kWords[word][0])) continue;
      place.phase = kInWord;
      place.state = word | 1U << 2;
      return true;
    }
    return false;
  }
  return true;
}

bool step_string(Place& place, Position& position, uint8_t byte) {
  const auto state = static_cast<StringState>(place.state);
  const StringState next = next_in_string(state, byte);
  if (next == StringState::kRejected) return false;
  if (next == StringState::kClosed) {
    place.phase = place.phase == kInKey ? kColon : kAfter;
    place.state = 0;
    position.characters = {};
    return true;
  }
  if (state == StringState::kBetween) {
    if (position.characters.room == 0) return false;
    position.characters.take_one();
  }
  place.state = static_cast<uint32_t>(next);
  return true;
}

bool step_word(Place& place, uint8_t byte) {
  const std::string_view word = kWords[place.state & 3];
  uint32_t n = place.state >> 2;
  if (byte != static_cast<uint8_t>(word[n])) return false;
  place.state = (place.state & 3) | ++n << 2;
  if (n == word.size()) {
    place.phase = kAfter;
    place.state = 0;
  }
  return true;
}

bool step_after(Place& place, Position& position, uint8_t byte) {
  if (byte != ',') return close_level(place, position, byte);
  auto& members = position.items[place.depth - 1];
  if (members.room == 0) return false;
  members.take_one();
  place.phase = kCommaSpace;
  return true;
}

bool step(Place& place, Position& position, uint8_t byte) {
  const auto takes = [&](uint8_t wanted, Phase next) {
    place.phase = next;
    return byte == wanted;
  };
  switch (place.phase) {
    case kBegin:
      if (byte != '{') return false;
      open_level(place, position, /*array=*/false);
      return true;
    case kFirstKey:
      if (byte != '"') return close_level(place, position, byte);
      [[fallthrough]];
    case kKey:
      if (byte != '"') return false;
      begin_string(place, position, kInKey, kMaxKeyLength);
      return true;
    case kInKey:
    case kInText:
      return step_string(place, position, byte);
    case kColon:
      return takes(':', kColonSpace);
    case kColonSpace:
      return takes(' ', kValue);
    case kFirstItem:
      if (byte == ']') return close_level(place, position, byte);
      [[fallthrough]];
    case kValue:
      return begin_value(place, position, byte);
    case kInNumber:
      if (step_number(place.state, false, byte)) return true;
      if (!number_may_end(place.state)) return false;
      place.phase = kAfter;
      place.state = 0;
      return step_after(place, position, byte);
    case kInWord:
      return step_word(place, byte);
    case kAfter:
      return step_after(place, position, byte);
    case kCommaSpace:
      return takes(' ', place.in_array() ? kValue : kKey);
    default:
      return false;
  }
}

}  // namespace

AnyObjectStep step_any_object(Position& position, uint8_t byte) {
  Place place(position.detail);
  if (!step(place, position, byte)) return AnyObjectStep::kRejected;
  position.detail = place.detail();
  return place.depth == 0 ? AnyObjectStep::kEnded : AnyObjectStep::kTaken;
}

bool any_object_between_characters(const Position& position) {
  const Place place(position.detail);
  return (place.phase == kInKey || place.phase == kInText) &&
         static_cast<StringState>(place.state) == StringState::kBetween;
}

}  // namespace lectern
