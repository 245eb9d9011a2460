// HTML to running text, for web pages and for the chapters of an EPUB. Internal to retrieval/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "retrieval/text_builder.h"

namespace lectern {

struct HtmlFacts {
  std::string title;
  std::vector<std::string> links;  // relative ones
};

// Writes the text of `html` (UTF-8) to `out`. `is_xml`: "<script/>" is an empty element. Linear in the input,
// keeps no tree and does not nest, so neither depth nor unclosed tags matter.
void write_html(std::string_view html, bool is_xml, TextBuilder& out, HtmlFacts& facts);

// The charset that a page announces in <meta> or in its XML declaration, "" for none.
std::string declared_charset(std::string_view bytes);

}  // namespace lectern
