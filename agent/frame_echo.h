// What a small model copies from the frame around the passages in place of saying something: the breadcrumb
// of a passage's label ("Manual > Safety > "), and sentences and asides that only point ("This information is
// found in passage [1].", ", as stated in passage [1]"). Const after construction.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/evidence.h"

namespace lectern {

class FrameEcho {
 public:
  explicit FrameEcho(const std::vector<EvidencePassage>& evidence);

  // Bytes of such at the beginning of `text`; 0: none; nullopt: unclear before more comes. `final`: nothing
  // will.
  std::optional<size_t> breadcrumb(std::string_view text, bool final) const;
  // The same; `text` begins a sentence.
  static std::optional<size_t> pointer(std::string_view text, bool final);
  // The same; `text` follows a comma. Of an aside that ends its sentence, without the marker that may come
  // last.
  static std::optional<size_t> aside(std::string_view text, bool final);

 private:
  std::vector<std::string> crumbs_;  // "Manual > ", longest first
};

}  // namespace lectern
