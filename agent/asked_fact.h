// Whether a question asks for a fact, which a text holds or does not, rather than for something to be made of
// the text or said about it (a translation, a tone, a title): of such a request nothing stands in the text
// either, and that is no reason to refuse it. Thread-safe.
#pragma once

#include <string_view>

namespace lectern {

// By its wording, in English and Chinese and by a few words of other languages, and by names that `text`, all
// there is to answer from, lacks. False where that tells nothing.
bool asks_for_a_fact(std::string_view question, std::string_view text);

}  // namespace lectern
