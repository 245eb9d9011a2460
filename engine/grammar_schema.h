// Compiles the JSON Schema subset of Grammar::from_json_schema.
#pragma once

#include "base/json.h"
#include "engine/grammar_automaton.h"

namespace lectern {

// Strings without maxLength and arrays without maxItems get these bounds, so that a small model cannot run on
// for ever.
inline constexpr uint32_t kDefaultMaxLength = 1024;
inline constexpr uint32_t kDefaultMaxItems = 32;

// Throws Error: kUnsupported names the keyword and where it stands, kInvalidArgument a bad value.
GrammarAutomaton compile_json_schema(const Json& schema);

}  // namespace lectern
