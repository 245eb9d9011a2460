// GET / and the files that the page needs.
#include "apps/server/embedded_files.h"
#include "apps/server/routes.h"

namespace lectern::server {
namespace {

std::string type_of(std::string_view name) {
  const std::string_view ending = name.substr(std::min(name.rfind('.'), name.size()));
  if (ending == ".html") return "text/html; charset=utf-8";
  if (ending == ".css") return "text/css; charset=utf-8";
  if (ending == ".js") return "text/javascript; charset=utf-8";
  if (ending == ".svg") return "image/svg+xml";
  if (ending == ".png") return "image/png";
  if (ending == ".json" || ending == ".webmanifest") return "application/json";
  return "application/octet-stream";
}

}  // namespace

void add_page_routes(Router& router) {
  for (const EmbeddedFile& file : kWebFiles) {
    std::string pattern = "/";  // a file's name as a regular expression
    for (const char c : std::string_view(file.name))
      pattern += c == '.' ? std::string("\\.") : std::string(1, c);
    const auto route = [&file](Call& call) {
      call.response.set_content(std::string(file.content), type_of(file.name));
    };
    router.get(pattern, route);
    if (std::string_view(file.name) == "index.html") router.get("/", route);
  }
}

}  // namespace lectern::server
