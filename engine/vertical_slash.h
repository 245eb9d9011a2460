// Which keys the queries of a long prompt read, after MInference (arXiv:2407.02490) as the Qwen2.5-1M models
// are made for it: some columns, keys that all later queries attend to, and some diagonals, distances at
// which all queries do. The last queries of a part of the prompt show which; how many of each is a budget of
// every query head (Qwen2Config::sparse_attention).
//
// A block of queries reads the whole pages that a diagonal touches, as each diagonal is a run of as many keys
// as there are queries; columns that lie elsewhere are gathered into pages that stand in for others which are
// not read. So the attention kernels know nothing of this. The estimate is made by one thread at a time on
// all of its CpuOps; the other functions may run anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/config.h"
#include "engine/cpu_ops.h"
#include "engine/rope.h"

namespace lectern {

// So many queries at the end of a part show where its attention lies.
inline constexpr int32_t kEstimateQueries = 64;
// Always among the columns and diagonals, as far as the budget goes: where attention rests when nothing
// matters, and what is near.
inline constexpr int32_t kSinkColumns = 30, kNearDiagonals = 100;

// Of all query heads of a KV head together; ascending.
struct VerticalSlash {
  std::vector<int32_t> columns;    // positions of keys
  std::vector<int32_t> diagonals;  // position of the query - position of the key
};

// The columns and diagonals that hold most of the attention of the queries of `last`, up to kEstimateQueries
// consecutive ones, over all keys so far. `budgets`: of the group's query heads. With Dual Chunk Attention
// the queries stand at their critical positions, at which distances grow with every key also where the
// attention itself clamps them: they are made of last.q, and its q_succ, q_inter, pages and out are not read.
VerticalSlash estimate_vertical_slash(CpuOps& ops, const Rope& rope, const AttentionArgs& last,
                                      std::span<const VerticalSlashBudget> budgets);

// What a block of queries reads of a KV head.
struct BlockKeys {
  std::vector<int32_t> pages;  // ascending
  // Keys gathered from pages that are not read, page_tokens for each of the pages stand_ins, which are among
  // `pages` and hold these keys instead of their own. Both ascending by the part of the chunks of Dual Chunk
  // Attention that they are in; every query of the block sees all of these.
  std::vector<int32_t> columns, stand_ins;
};

// The pages that a diagonal touches for any query of the block, those of which at least half are wanted
// columns, and the other columns gathered, filled up to whole pages with keys that nobody asked for. `block`
// as for KernelTable::attention, before any page was chosen.
BlockKeys choose_keys(const AttentionArgs& block, const VerticalSlash& wanted);

// Memory that with_gathered takes.
size_t gathered_bytes(const AttentionArgs& block, const BlockKeys& keys);
// The block over `keys`, whose gathered columns are copied into `memory`, aligned to 64 bytes; both outlive
// the result. block.k_pages and v_pages are left as they are.
AttentionArgs with_gathered(AttentionArgs block, const BlockKeys& keys, std::byte* memory);

}  // namespace lectern
