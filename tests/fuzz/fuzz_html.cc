// Any bytes as a web page: charset, markup, text.
#include "tests/fuzz/document_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lectern::extract_input({reinterpret_cast<const char*>(data), size}, "html");
  return 0;
}
