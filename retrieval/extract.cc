#include "retrieval/extract.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>

#include "base/ascii.h"
#include "base/error.h"
#include "base/files.h"
#include "base/utf8.h"
#include "retrieval/charset.h"
#include "retrieval/extract_formats.h"
#include "retrieval/text_builder.h"

namespace lectern {
namespace {

constexpr size_t kDetectBytes = 8 << 10;
constexpr size_t kPdfMarkBytes = 1024;  // readers look for the mark in the first kilobyte

struct Extension {
  std::string_view extension, format;
};

constexpr std::array kExtensions{
    Extension{".pdf", "pdf"},           Extension{".docx", "docx"},    Extension{".docm", "docx"},
    Extension{".dotx", "docx"},         Extension{".epub", "epub"},    Extension{".md", "markdown"},
    Extension{".markdown", "markdown"}, Extension{".mdx", "markdown"}, Extension{".qmd", "markdown"},
    Extension{".rmd", "markdown"},      Extension{".txt", "text"},     Extension{".text", "text"},
    Extension{".log", "text"},          Extension{".rst", "text"},     Extension{".org", "text"},
    Extension{".tex", "text"},          Extension{".adoc", "text"},    Extension{".srt", "text"},
    Extension{".vtt", "text"},          Extension{".html", "html"},    Extension{".htm", "html"},
    Extension{".xhtml", "html"},
};

constexpr std::array<std::string_view, 72> kCodeExtensions{
    ".c",      ".h",     ".cc",  ".cpp",   ".cxx",  ".hh",   ".hpp",  ".hxx",  ".cu",  ".cuh",  ".m",
    ".mm",     ".py",    ".pyi", ".rb",    ".pl",   ".pm",   ".php",  ".lua",  ".tcl", ".r",    ".jl",
    ".js",     ".mjs",   ".cjs", ".jsx",   ".ts",   ".tsx",  ".vue",  ".java", ".kt",  ".kts",  ".scala",
    ".groovy", ".go",    ".rs",  ".swift", ".cs",   ".fs",   ".vb",   ".hs",   ".ml",  ".mli",  ".ex",
    ".exs",    ".erl",   ".clj", ".lisp",  ".el",   ".scm",  ".sh",   ".bash", ".zsh", ".fish", ".ps1",
    ".bat",    ".sql",   ".css", ".scss",  ".less", ".toml", ".yaml", ".yml",  ".ini", ".cfg",  ".conf",
    ".cmake",  ".proto", ".v",   ".sv",    ".asm",  ".s",
};

constexpr std::array<std::string_view, 5> kCodeNames{"makefile", "dockerfile", "cmakelists.txt", "rakefile",
                                                     "jenkinsfile"};

std::string format_by_name(const std::filesystem::path& path) {
  const std::string name = ascii_lower(path.filename().string());
  const std::string extension = ascii_lower(path.extension().string());
  if (std::find(kCodeNames.begin(), kCodeNames.end(), name) != kCodeNames.end()) return "code";
  for (const Extension& known : kExtensions)
    if (extension == known.extension) return std::string(known.format);
  if (std::find(kCodeExtensions.begin(), kCodeExtensions.end(), extension) != kCodeExtensions.end())
    return "code";
  return "";
}

// A page saved under another name. Only its first words count: any text may hold a tag somewhere.
bool looks_like_html(std::string_view bytes) {
  const size_t begin = std::min(bytes.find_first_not_of(" \t\r\n\xEF\xBB\xBF"), bytes.size());
  const std::string start = ascii_lower(std::string(bytes.substr(begin, 32)));
  return start.starts_with("<!doctype html") || start.starts_with("<html");
}

// The zip-based format that a file's first entry announces, "" for others.
std::string zip_format(std::string_view bytes) {
  constexpr size_t kFirstNameOffset = 30;  // of a local file header without extra field
  if (bytes.substr(std::min(kFirstNameOffset, bytes.size())).starts_with("mimetypeapplication/epub+zip"))
    return "epub";
  return "";
}

using Extractor = void (*)(std::string bytes, const ExtractContext& context, Document& document);

struct Format {
  std::string_view name;
  Extractor extract;
};

constexpr std::array kFormats{
    Format{"text", set_text},     Format{"markdown", extract_markdown}, Format{"code", extract_code},
    Format{"html", extract_html}, Format{"docx", extract_docx},         Format{"epub", extract_epub},
};

// The file's name without folder and extension, as well-formed text on one line.
std::string stem_title(const std::string& name) {
  std::string stem = utf8::repair(std::filesystem::path(name).stem().string());
  replace_controls(stem);
  return heading_label(stem);
}

void choose_title(const std::string& name, Document& document) {
  document.title = heading_label(document.title);
  if (!document.title.empty()) return;
  // Source code is known by its file's name, not by its first function.
  if (document.format != "code" && !document.headings.empty())
    document.title = document.headings.front().text;
  if (document.title.empty()) document.title = stem_title(name);
}

Document extract(std::string bytes, const std::string& format, const ExtractContext& context) {
  for (const Format& known : kFormats) {
    if (known.name != format) continue;
    Document document;
    document.format = format;
    known.extract(std::move(bytes), context, document);
    choose_title(context.name, document);
    return document;
  }
  throw Error(ErrorCode::kUnsupported,
              context.name + ": is in the format \"" + format + "\", which cannot be read here");
}

std::string megabytes(uint64_t bytes) {
  return std::to_string(bytes >> 20);
}

}  // namespace

void set_text(std::string bytes, const ExtractContext& context, Document& document) {
  DecodedText decoded = decode_text(std::move(bytes), context.name);
  if (decoded.n_replaced > 0)
    document.warnings.push_back(std::to_string(decoded.n_replaced) + " places are not valid " +
                                decoded.charset + " and were replaced by U+FFFD");
  document.text = std::move(decoded.text);
  if (document.text.size() > context.limits.max_text_bytes)
    throw Error(ErrorCode::kResourceExhausted, context.name + ": holds more than " +
                                                   megabytes(context.limits.max_text_bytes) + " MB of text");
}

std::string detect_format(const std::filesystem::path& path, std::string_view first_bytes) {
  if (first_bytes.substr(0, kPdfMarkBytes).find("%PDF-") != std::string_view::npos) return "pdf";
  const std::string format = format_by_name(path);
  // A broken file of a known binary format is worth an error that says so.
  if (format == "pdf" || format == "docx" || format == "epub") return format;
  if (first_bytes.starts_with("PK\x03\x04")) return zip_format(first_bytes);
  if (looks_binary(first_bytes)) return "";
  if (!format.empty()) return format;
  return looks_like_html(first_bytes) ? "html" : "text";
}

std::string detect_file_format(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string first(kDetectBytes, '\0');
  file.read(first.data(), static_cast<std::streamsize>(first.size()));
  if (file.bad() || !file.is_open()) throw Error(ErrorCode::kIo, display_name(path) + ": cannot be read");
  first.resize(static_cast<size_t>(file.gcount()));
  return detect_format(path, first);
}

std::string display_name(const std::filesystem::path& path) {
  std::string name = utf8::repair(path.string());
  replace_controls(name);
  std::replace(name.begin(), name.end(), '\n', ' ');
  std::replace(name.begin(), name.end(), '\r', ' ');
  return name;
}

Document extract_text(std::string_view bytes, const std::string& format, const std::string& name,
                      const ExtractLimits& limits) {
  return extract(std::string(bytes), format, {name, limits});
}

Document extract_file(const std::filesystem::path& path, const ExtractLimits& limits,
                      const CancelToken& cancel) {
  cancel.throw_if_cancelled();
  const std::string name = display_name(path);
  std::error_code failure;
  const auto status = std::filesystem::status(path, failure);
  if (!std::filesystem::exists(status)) throw Error(ErrorCode::kNotFound, name + ": no such file");
  if (!std::filesystem::is_regular_file(status))
    throw Error(ErrorCode::kUnsupported, name + ": is not a regular file");
  const uint64_t size = std::filesystem::file_size(path, failure);
  if (!failure && size > limits.max_file_bytes)
    throw Error(ErrorCode::kResourceExhausted, name + ": is " + megabytes(size) +
                                                   " MB large, more than the limit of " +
                                                   megabytes(limits.max_file_bytes) + " MB");
  const std::string format = detect_file_format(path);
  if (format.empty())
    throw Error(ErrorCode::kUnsupported, name + ": is a binary file, not a document that can be read");
  if (format != "pdf") return extract(read_file(path, limits.max_file_bytes), format, {name, limits});
  Document document;
  document.format = format;
  extract_pdf(path, {name, limits}, cancel, document);
  choose_title(name, document);
  return document;
}

}  // namespace lectern
