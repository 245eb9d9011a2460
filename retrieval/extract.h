// Files of many formats to Documents. Every parser is bounded (size, entries, expansion ratio, depth,
// seconds) and a bad file is an Error that names it and says why; the caller warns and goes on. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/cancel.h"
#include "retrieval/document.h"

namespace lectern {

struct ExtractLimits {
  uint64_t max_file_bytes = uint64_t{256} << 20;
  uint64_t max_text_bytes = uint64_t{256} << 20;  // after extraction
  int max_archive_entries = 10'000;
  int max_expansion_ratio = 200;
  int max_seconds = 60;  // of the PDF subprocess
};

// The format that a path's extension and the file's first bytes announce; "" when it is none we read (binary
// files).
std::string detect_format(const std::filesystem::path& path, std::string_view first_bytes);

// detect_format of a file on disk; reads its first 8 KB. Throws Error(kIo) when it cannot be read.
std::string detect_file_format(const std::filesystem::path& path);

// A path as text for people: well-formed UTF-8 on one line, whatever the file system allows in names.
std::string display_name(const std::filesystem::path& path);

// Throws Error: kNotFound, kIo, kUnsupported (binary, special or encrypted files), kCorrupt,
// kResourceExhausted (over a limit), kCancelled.
Document extract_file(const std::filesystem::path& path, const ExtractLimits& limits,
                      const CancelToken& cancel);
// From memory, for `format` as detect_format names it ("pdf" is not available here). `name` is for errors and
// the title.
Document extract_text(std::string_view bytes, const std::string& format, const std::string& name,
                      const ExtractLimits& limits);

}  // namespace lectern
