// The table of prompt texts that tools/cmake/embed_prompts.cmake generates at build time.
#pragma once

#include <cstddef>
#include <string_view>

namespace lectern::internal {

struct PromptText {
  std::string_view language;
  std::string_view name;
  std::string_view text;
};

extern const PromptText kPromptTexts[];
extern const std::size_t kPromptTextCount;

}  // namespace lectern::internal
