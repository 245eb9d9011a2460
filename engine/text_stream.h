// Turns the bytes of generated tokens into text that may be shown: whole UTF-8 sequences only, and nothing
// that could still turn out to be the beginning of a stop string. Not thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lectern {

class TextStream {
 public:
  // Throws Error(kInvalidArgument) for an empty stop string.
  explicit TextStream(std::vector<std::string> stop_strings);

  // The text that is certain now; valid UTF-8. Nothing after stopped().
  std::string push(std::string_view bytes);
  // A stop string has come: it and what follows are dropped.
  bool stopped() const { return stopped_; }
  // What was held back, when no more bytes come.
  std::string finish();

 private:
  std::vector<std::string> stop_strings_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace lectern
