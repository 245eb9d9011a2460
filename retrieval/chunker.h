// Cuts a document into chunks of at most kChunkCharacters code points: at paragraph, then sentence borders,
// never inside a grapheme; table rows and code blocks stay whole where they fit. Chunks cover every non-blank
// byte of the text once, in order, without overlap. Linear in the text; thread-safe.
#pragma once

#include <vector>

#include "retrieval/document.h"

namespace lectern {

std::vector<Chunk> chunk_document(const Document& document, int max_characters = kChunkCharacters);

}  // namespace lectern
