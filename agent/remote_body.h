// What bytes of a reply's body mean to whoever reads them: it decides how long more are waited for.
#pragma once

#include <string_view>

namespace lectern {

enum class BodyPart {
  kSome,      // a part of the reply
  kNothing,   // less than a part, or what only keeps the connection open: a silence goes on
  kComplete,  // the reply is known, whether or not the server goes on and closes in good order
  kEnough,    // no more is wanted
};

// Of a reply that is not streamed: it comes at once, at most after blanks, with which some servers keep the
// connection open while they work. So only its first byte ends a silence.
inline BodyPart part_of_whole(bool has_begun, std::string_view bytes) {
  const bool begins = !has_begun && bytes.find_first_not_of(" \t\r\n") != std::string_view::npos;
  return begins ? BodyPart::kSome : BodyPart::kNothing;
}

}  // namespace lectern
