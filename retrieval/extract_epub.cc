// Electronic books: the chapters in the order of the spine, each through the HTML extractor.
#include <unordered_map>

#include "base/error.h"
#include "base/utf8.h"
#include "retrieval/archive.h"
#include "retrieval/charset.h"
#include "retrieval/extract_formats.h"
#include "retrieval/extract_html.h"
#include "retrieval/links.h"

namespace lectern {
namespace {

bool is_text_part(const std::string& part) {
  for (const std::string_view ending : {".xhtml", ".html", ".htm", ".xml", ".opf"})
    if (part.ends_with(ending)) return true;
  return part.starts_with("META-INF/");
}

// The package document that the container names.
std::string package_part(const ZipParts& parts, const ExtractContext& context) {
  const pugi::xml_document container = parse_part(parts, "META-INF/container.xml", context);
  const pugi::xml_node file = child(child(container.document_element(), "rootfiles"), "rootfile");
  return resolve_part("", attribute(file, "full-path"));
}

// The parts of the book in reading order.
std::vector<std::string> spine_of(const pugi::xml_node& package, const std::string& package_name) {
  std::unordered_map<std::string, std::string> parts_by_id;
  for (const pugi::xml_node& item : child(package, "manifest").children())
    parts_by_id.emplace(attribute(item, "id"), resolve_part(package_name, attribute(item, "href")));
  std::vector<std::string> spine;
  for (const pugi::xml_node& item : child(package, "spine").children()) {
    const auto found = parts_by_id.find(std::string(attribute(item, "idref")));
    if (found != parts_by_id.end()) spine.push_back(found->second);
  }
  return spine;
}

// Whether a chapter, not merely a font, is encrypted.
bool has_encrypted_text(const ZipParts& parts, const ExtractContext& context) {
  if (parts.count("META-INF/encryption.xml") == 0) return false;
  const pugi::xml_document tree = parse_part(parts, "META-INF/encryption.xml", context);
  for (const pugi::xml_node& data : tree.document_element().children()) {
    const std::string part =
        percent_decoded(attribute(child(child(data, "CipherData"), "CipherReference"), "URI"));
    if (part.ends_with("html") || part.ends_with(".htm")) return true;
  }
  return false;
}

}  // namespace

void extract_epub(std::string bytes, const ExtractContext& context, Document& document) {
  ZipParts parts = read_zip(bytes, context, is_text_part);
  if (has_encrypted_text(parts, context))
    throw Error(ErrorCode::kUnsupported, context.name + ": is encrypted (DRM) and cannot be read");
  const std::string package_name = package_part(parts, context);
  const pugi::xml_document package = parse_part(parts, package_name, context);
  document.title = all_text(child(child(package.document_element(), "metadata"), "title"));

  TextBuilder out(document, context.name, context.limits.max_text_bytes);
  int n_missing = 0;
  for (const std::string& part : spine_of(package.document_element(), package_name)) {
    const auto found = parts.find(part);
    if (found == parts.end()) {
      ++n_missing;
      continue;
    }
    const std::string charset = declared_charset(found->second);
    // A chapter is written once, however often the spine names it.
    const DecodedText chapter = decode_text(std::move(parts.extract(found).mapped()), context.name, charset);
    HtmlFacts facts;
    out.block();
    write_html(chapter.text, true, out, facts);
    out.end_heading();
    out.end_keep();
    out.block();
  }
  out.finish();
  if (n_missing > 0)
    document.warnings.push_back(std::to_string(n_missing) + " chapters that the book lists are not in it");
  if (document.text.empty()) throw Error(ErrorCode::kCorrupt, context.name + ": holds no text");
}

}  // namespace lectern
