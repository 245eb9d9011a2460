// Any bytes as a note: charset, front matter, headings, links, fences and tables.
#include "tests/fuzz/document_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lectern::extract_input({reinterpret_cast<const char*>(data), size}, "markdown");
  return 0;
}
