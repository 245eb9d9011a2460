// A JSON object of any members as a state machine over bytes: what step() of an automaton does within it.
// Bounded so that it ends: kMaxArrayDepth levels, 64 members a level, keys of 64 and texts of 1,024
// characters. Written as all JSON here: one space after ':' and ','.
#pragma once

#include "engine/grammar_automaton.h"

namespace lectern {

enum class AnyObjectStep { kRejected, kTaken, kEnded };

AnyObjectStep step_any_object(GrammarAutomaton::Position& position, uint8_t byte);
// Inside one of its strings, where a character may begin.
bool any_object_between_characters(const GrammarAutomaton::Position& position);

}  // namespace lectern
