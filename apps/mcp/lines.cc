#include "apps/mcp/lines.h"

#include <utility>

namespace lectern::mcp {

void LineCutter::feed(std::string_view bytes, const OnLine& on_line) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (!too_long_ && line_.size() + piece.size() > max_bytes_) {
      too_long_ = true;
      std::string().swap(line_);
    }
    if (!too_long_) line_ += piece;
    if (end == std::string_view::npos) return;
    end_line(on_line);
    bytes.remove_prefix(end + 1);
  }
}

void LineCutter::finish(const OnLine& on_line) {
  if (too_long_ || !line_.empty()) end_line(on_line);
}

void LineCutter::end_line(const OnLine& on_line) {
  std::string line;
  line.swap(line_);
  const bool too_long = std::exchange(too_long_, false);
  if (too_long) return on_line(std::nullopt);
  if (line.ends_with('\r')) line.pop_back();
  on_line(line);
}

}  // namespace lectern::mcp
