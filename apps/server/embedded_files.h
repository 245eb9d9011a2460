// Files that are compiled in (tools/cmake/embed_files.cmake).
#pragma once

#include <span>
#include <string_view>

namespace lectern::server {

struct EmbeddedFile {
  const char* name;  // "index.html"
  std::string_view content;
};

extern const std::span<const EmbeddedFile> kWebFiles;  // apps/server/web/: the page
extern const std::span<const EmbeddedFile> kApiFiles;  // apps/server/api/: what openapi.h puts together

}  // namespace lectern::server
