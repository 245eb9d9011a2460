// The extractors behind extract.h, one a format. Each fills a Document from the bytes of a file: text,
// headings, title where the document names one, and what was lost as warnings. Internal to retrieval/.
#pragma once

#include <filesystem>
#include <string>

#include "base/cancel.h"
#include "retrieval/document.h"
#include "retrieval/extract.h"

namespace lectern {

struct ExtractContext {
  const std::string& name;  // names the file in errors and warnings
  const ExtractLimits& limits;
};

// Decodes `bytes` into document.text, noting charset repairs as warnings. Throws Error for binary data and
// for text over the limit.
void set_text(std::string bytes, const ExtractContext& context, Document& document);

void extract_markdown(std::string bytes, const ExtractContext& context, Document& document);
void extract_docx(std::string bytes, const ExtractContext& context, Document& document);
void extract_epub(std::string bytes, const ExtractContext& context, Document& document);
// From disk only: pdftotext reads the file.
void extract_pdf(const std::filesystem::path& path, const ExtractContext& context, const CancelToken& cancel,
                 Document& document);
void extract_html(std::string bytes, const ExtractContext& context, Document& document);
void extract_code(std::string bytes, const ExtractContext& context, Document& document);

}  // namespace lectern
