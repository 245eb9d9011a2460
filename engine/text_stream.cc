#include "engine/text_stream.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace lectern {
namespace {

// Length of the longest end of `text` that begins `stop` without completing it.
size_t partial_match(std::string_view text, std::string_view stop) {
  size_t n = std::min(text.size(), stop.size() - 1);
  while (n > 0 && text.substr(text.size() - n) != stop.substr(0, n)) --n;
  return n;
}

}  // namespace

TextStream::TextStream(std::vector<std::string> stop_strings) : stop_strings_(std::move(stop_strings)) {
  for (const std::string& stop : stop_strings_) {
    if (stop.empty()) throw Error(ErrorCode::kInvalidArgument, "a stop string is empty");
  }
}

std::string TextStream::push(std::string_view bytes) {
  if (stopped_) return {};
  held_ += bytes;
  size_t found = std::string::npos;
  size_t undecided = 0;
  for (const std::string& stop : stop_strings_) {
    found = std::min(found, held_.find(stop));
    undecided = std::max(undecided, partial_match(held_, stop));
  }
  stopped_ = found != std::string::npos;
  if (stopped_) {
    held_.resize(found);
    return finish();
  }
  size_t certain = held_.size() - undecided;
  certain -= utf8::incomplete_tail(std::string_view(held_).substr(0, certain));
  const std::string text = utf8::repair(std::string_view(held_).substr(0, certain));
  held_.erase(0, certain);
  return text;
}

std::string TextStream::finish() {
  return utf8::repair(std::exchange(held_, {}));
}

}  // namespace lectern
