// Zip archives and the XML in them, as office files and EPUB use them. Only zip is enabled in libarchive;
// pugixml knows no external entities. Both are bounded before they are used. Internal to retrieval/.
#pragma once

#include <functional>
#include <map>
#include <pugixml.hpp>
#include <string>
#include <string_view>

#include "retrieval/extract_formats.h"
#include "retrieval/text_builder.h"

namespace lectern {

using ZipParts = std::map<std::string, std::string>;  // by name inside the archive

// The entries that `wanted` names, uncompressed. Throws Error naming the file: kCorrupt for what is no whole
// zip, kUnsupported for encrypted ones, kResourceExhausted for too many entries or too much inside.
ZipParts read_zip(std::string_view bytes, const ExtractContext& context,
                  const std::function<bool(const std::string&)>& wanted);

// The part as a tree. Throws Error(kCorrupt) for a part that is missing or no XML, kResourceExhausted for one
// nested too deeply or with too many elements.
pugi::xml_document parse_part(const ZipParts& parts, const std::string& part, const ExtractContext& context);

// Visits `root` and all below it in document order, without recursion. `enter` says whether to go on below a
// node; `leave` follows for every node that `enter` was called for.
void walk_xml(const pugi::xml_node& root, const std::function<bool(const pugi::xml_node&)>& enter,
              const std::function<void(const pugi::xml_node&)>& leave);

// An element's or attribute's name without its namespace prefix.
std::string_view local_name(const pugi::xml_node& node);
// The value of the attribute with this local name, "" without one.
std::string_view attribute(const pugi::xml_node& node, std::string_view local);
// The first child with this local name; an empty node without one.
pugi::xml_node child(const pugi::xml_node& node, std::string_view local);
// All character data below `node`, well-formed UTF-8.
std::string all_text(const pugi::xml_node& node);

// Writes an element's character data, well-formed whatever the file says.
void write_text(TextBuilder& out, std::string_view text);

// `href` as seen from the part `base`, without "." and "..".
std::string resolve_part(const std::string& base, std::string_view href);

}  // namespace lectern
