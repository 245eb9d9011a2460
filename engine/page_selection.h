// Which pages of keys a block of queries reads when a prompt is too long to read all of them: the rule of
// FlashPrefill (2026), a threshold on how the queries attend to the means of the pages. Unlike a top-k it
// needs no budget: few pages where attention is sharp, many where it is flat.
#pragma once

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace lectern {

// Pages that are always read: where attention rests when nothing matters, and what is near.
inline constexpr int32_t kSinkPages = 1, kLocalPages = 4;

// `means`: [pages, head_dim] of the keys of all pages that lie whole before the block. Writes the pages that
// the block of queries is to read to `pages`, ascending, and returns their number. The pages of several query
// heads are united. `args` as for KernelTable::attention, pages aside.
int32_t select_pages(const KernelTable& kernels, const AttentionArgs& args, const float* means,
                     float threshold, int32_t* pages);

}  // namespace lectern
