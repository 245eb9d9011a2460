// The XML of a DOCX or an EPUB. The input is parts with a zero byte between them; the first byte of each, a
// letter of kPartNames, says which part of the archive it is.
#include <algorithm>

#include "tests/fuzz/document_checks.h"
#include "tests/support/zip_file.h"

namespace {

using namespace lectern;

struct PartName {
  char letter;
  const char* name;
};
constexpr PartName kPartNames[] = {
    {'r', "_rels/.rels"},       {'d', "word/document.xml"},      {'R', "word/_rels/document.xml.rels"},
    {'s', "word/styles.xml"},   {'f', "word/footnotes.xml"},     {'e', "word/endnotes.xml"},
    {'c', "docProps/core.xml"}, {'C', "META-INF/container.xml"}, {'E', "META-INF/encryption.xml"},
    {'o', "book/content.opf"},  {'1', "book/one.xhtml"},         {'2', "book/two.xhtml"},
};

ZipEntries parts_of(std::string_view input) {
  ZipEntries parts;
  while (!input.empty()) {
    const std::string_view part = input.substr(0, input.find('\0'));
    input.remove_prefix(std::min(part.size() + 1, input.size()));
    for (const PartName& known : kPartNames)
      if (part.starts_with(known.letter)) parts.emplace_back(known.name, part.substr(1));
  }
  return parts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ZipEntries parts = parts_of({reinterpret_cast<const char*>(data), size});
  const std::string zip = make_zip(parts, "zip:compression=store");
  extract_input(zip, "docx");
  extract_input(zip, "epub");
  return 0;
}
