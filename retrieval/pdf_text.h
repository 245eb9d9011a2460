// What pdftotext prints, made into paragraphs. Internal to retrieval/.
#pragma once

#include <string_view>

#include "retrieval/text_builder.h"

namespace lectern {

struct PdfPages {
  int n_pages = 0;
  int n_empty = 0;  // without any text: pictures
};

// Writes `text` (UTF-8, pages ended by form feeds) to `out`: lines joined to paragraphs, words joined that
// were hyphenated at a line's end, lines repeated at the top or bottom of most pages dropped, numbered
// headings noted.
PdfPages write_pdf_text(std::string_view text, TextBuilder& out);

}  // namespace lectern
