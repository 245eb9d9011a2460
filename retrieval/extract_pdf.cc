// PDF through pdftotext, as a separate process: a licence border (poppler is GPL) and a safety border. What
// it prints is shaped by pdf_text.
#include <algorithm>

#include "base/ascii.h"
#include "base/error.h"
#include "base/utf8.h"
#include "retrieval/extract_formats.h"
#include "retrieval/pdf_text.h"
#include "retrieval/subprocess.h"
#include "retrieval/text_builder.h"

namespace lectern {
namespace {

constexpr uint64_t kMaxInfoBytes = 64 << 10;

std::string first_line(const std::string& text) {
  return heading_label(utf8::repair(text.substr(0, text.find('\n'))));
}

// One sentence about why pdftotext gave no text.
[[noreturn]] void fail(const SubprocessResult& result, const ExtractContext& context) {
  using End = SubprocessResult::End;
  const std::string name = context.name + ": ";
  if (result.end == End::kTooSlow)
    throw Error(ErrorCode::kResourceExhausted, name + "took pdftotext longer than " +
                                                   std::to_string(context.limits.max_seconds) + " seconds");
  if (result.end == End::kTooMuchOutput)
    throw Error(
        ErrorCode::kResourceExhausted,
        name + "holds more than " + std::to_string(context.limits.max_text_bytes >> 20) + " MB of text");
  if (result.end == End::kSignalled)
    throw Error(ErrorCode::kCorrupt, name + "made pdftotext fail (signal " + std::to_string(result.signal) +
                                         "); the file is damaged or needs too much memory");
  if (result.errors.find("Incorrect password") != std::string::npos)
    throw Error(ErrorCode::kUnsupported, name + "is encrypted with a password");
  throw Error(ErrorCode::kCorrupt,
              name + "is damaged or no PDF (pdftotext: " + first_line(result.errors) + ")");
}

// The title in the file's properties, "" where a program only left the name of its own file there.
std::string title_property(const std::string& path, const ExtractContext& context,
                           const CancelToken& cancel) {
  const std::string program = find_program("pdfinfo");
  if (program.empty()) return "";
  const SubprocessLimits limits{context.limits.max_seconds, uint64_t{2} << 30, kMaxInfoBytes};
  const std::string info =
      utf8::repair(run_subprocess({program, "-enc", "UTF-8", path}, limits, cancel).output);
  if (!info.starts_with("Title:")) return "";
  std::string title = heading_label(std::string_view(info).substr(6, info.find('\n') - 6));
  if (title.starts_with("Microsoft Word - ")) title.erase(0, 17);
  const std::string lower = ascii_lower(title);
  for (const std::string_view ending : {".doc", ".docx", ".pdf", ".tex", ".dvi", ".indd", ".rtf", ".odt"})
    if (lower.ends_with(ending)) return "";
  return lower == "untitled" || title.size() < 3 ? "" : title;
}

}  // namespace

void extract_pdf(const std::filesystem::path& path, const ExtractContext& context, const CancelToken& cancel,
                 Document& document) {
  const std::string program = find_program("pdftotext");
  if (program.empty())
    throw Error(
        ErrorCode::kUnavailable,
        context.name +
            ": reading PDF needs pdftotext, which is not installed; install the package poppler-utils");
  const std::string absolute = std::filesystem::absolute(path).string();  // never taken for an option
  const SubprocessLimits limits{context.limits.max_seconds, uint64_t{2} << 30, context.limits.max_text_bytes};
  const SubprocessResult result =
      run_subprocess({program, "-enc", "UTF-8", "-eol", "unix", absolute, "-"}, limits, cancel);
  if (result.end != SubprocessResult::End::kExited || result.exit_code != 0) fail(result, context);

  const std::string text = utf8::is_valid(result.output) ? result.output : utf8::repair(result.output);
  TextBuilder out(document, context.name, context.limits.max_text_bytes);
  const PdfPages pages = write_pdf_text(text, out);
  out.finish();
  if (document.text.empty() && !result.errors.empty() && pages.n_pages == 0) fail(result, context);
  if (document.text.empty())
    throw Error(ErrorCode::kUnsupported,
                context.name + ": holds no text on its " + std::to_string(pages.n_pages) +
                    " pages, so it is probably a scan; run OCR (such as ocrmypdf) over it first");
  if (pages.n_empty * 5 > pages.n_pages)
    document.warnings.push_back(std::to_string(pages.n_empty) + " of " + std::to_string(pages.n_pages) +
                                " pages hold no text, probably scans or pictures");
  document.title = title_property(absolute, context, cancel);
}

}  // namespace lectern
