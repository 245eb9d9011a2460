// The page's files, compiled in: all of apps/server/web/ (tools/cmake/embed_files.cmake).
#pragma once

#include <cstddef>
#include <string_view>

namespace lectern::server {

struct WebFile {
  const char* name;  // "index.html"
  std::string_view content;
};

extern const WebFile kWebFiles[];
extern const std::size_t kWebFileCount;

}  // namespace lectern::server
