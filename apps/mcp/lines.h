// Cuts a stream of bytes into lines of bounded length. One thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace lectern::mcp {

class LineCutter {
 public:
  explicit LineCutter(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Calls back for every line that `bytes` complete, without its ending (LF or CRLF); once without a line for
  // one that is too long, of which nothing is kept.
  using OnLine = std::function<void(std::optional<std::string_view> line)>;
  void feed(std::string_view bytes, const OnLine& on_line);
  // What stands after the last ending.
  void finish(const OnLine& on_line);

 private:
  void end_line(const OnLine& on_line);

  size_t max_bytes_;
  std::string line_;
  bool too_long_ = false;
};

}  // namespace lectern::mcp
