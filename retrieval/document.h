// A document as retrieval sees it: one UTF-8 text and what is known of its structure. Plain data.
// All positions are byte offsets into `text`. For text files `text` is the file itself (repaired to UTF-8,
// without a byte-order mark); for PDF, DOCX, EPUB and HTML it is the extracted text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lectern {

struct Heading {
  uint64_t offset = 0;
  int level = 1;  // 1 is the outermost
  std::string text;
};

struct PageStart {
  uint64_t offset = 0;
  int number = 1;
};

// A file that was skipped or read in part, and why.
struct FileWarning {
  std::string path;
  std::string reason;
  bool known = false;  // found when the file was last read; it has not changed since
};

struct Document {
  std::string text;
  std::string format;                // "text", "markdown", "code", "html", "pdf", "docx", "epub", ...
  std::string title;                 // from the document, else the first heading, else the file's stem
  std::vector<Heading> headings;     // ascending offsets
  std::vector<PageStart> pages;      // ascending offsets; empty when the format has no pages
  std::vector<std::string> aliases;  // front matter: other names of the document
  std::vector<std::string> tags;
  std::vector<std::string> links;     // targets of wikilinks and relative links
  std::vector<std::string> warnings;  // what was lost, one sentence each
  // Byte ranges that chunks should not cut when they fit: table rows, fenced code blocks. Ascending,
  // disjoint.
  struct Range {
    uint64_t begin, end;
  };
  std::vector<Range> keep_whole;
};

// A passage of at most kChunkCharacters code points: the unit of retrieval and citation.
inline constexpr int kChunkCharacters = 512;
struct Chunk {
  int ordinal = 0;                    // within the document
  uint64_t begin = 0, end = 0;        // bytes of the text
  int first_line = 1, last_line = 1;  // of the text, from 1
  int first_page = 0, last_page = 0;  // 0: the format has none
  std::string heading_path;           // "Chapter > Section" where it begins, may be empty
  struct Section {
    uint64_t offset = 0;  // bytes from the chunk's beginning
    std::string heading_path;
  };
  std::vector<Section> later_sections;  // those that begin further on in the chunk, ascending
};

}  // namespace lectern
