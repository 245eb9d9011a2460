// A byte for the format, one for the size of chunks, then the document: its chunks are as chunker.h promises.
#include <algorithm>

#include "retrieval/chunker.h"
#include "retrieval/text_borders.h"
#include "tests/fuzz/document_checks.h"

namespace {

using namespace lectern;

void check_chunks(const Document& document, int limit) {
  const std::string_view text = document.text;
  uint64_t end = 0;
  int line = 1, ordinal = 0;
  const auto feeds = [&](uint64_t from, uint64_t to) {
    return static_cast<int>(std::count(text.begin() + static_cast<std::ptrdiff_t>(from),
                                       text.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
  };
  for (const Chunk& chunk : chunk_document(document, limit)) {
    require(chunk.ordinal == ordinal++);
    require(chunk.begin >= end && chunk.begin < chunk.end && chunk.end <= text.size());
    require(skip_blank(text, end) == chunk.begin);  // nothing is left out
    const std::string_view body = text.substr(chunk.begin, chunk.end - chunk.begin);
    require(utf8::is_valid(body) && utf8::count(body) <= static_cast<size_t>(limit));
    line += feeds(end, chunk.begin);
    require(chunk.first_line == line);
    line += feeds(chunk.begin, chunk.end);
    require(chunk.last_line == line);
    require(utf8::is_valid(chunk.heading_path));
    end = chunk.end;
  }
  require(skip_blank(text, end) == text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  static const std::string kFormats[] = {"text", "markdown", "code", "html"};
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Document document = extract_input(bytes, kFormats[data[0] % std::size(kFormats)]);
  check_chunks(document, kChunkCharacters);
  check_chunks(document, 1 + data[1]);  // small chunks meet more borders in the same text
  return 0;
}
