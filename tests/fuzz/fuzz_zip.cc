// Any bytes as the zip archive that a DOCX or an EPUB is. What stands in the parts is the matter of
// fuzz_office: checksums keep most changed bytes from getting that far.
#include "tests/fuzz/document_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  lectern::extract_input(bytes, "docx");
  lectern::extract_input(bytes, "epub");
  return 0;
}
