// Tells questions that need several facts put together ("Where was the director of Quiet Mill born?", "Who is
// older, Ada Quill or Tomas Berg?") from those that one passage answers. Rules on the wording, in English and
// Chinese: asked to judge, models of 1.5B tell them apart hardly better than chance. A question that is
// missed is answered from retrieved passages, one that is taken wrongly costs some seconds. Pure.
#pragma once

#include <string_view>

namespace lectern {

enum class Hops { kOne, kChain, kComparison };

Hops hops_of(std::string_view question);

}  // namespace lectern
