#include "engine/vertical_slash.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "engine/scratch_arena.h"

namespace lectern {
namespace {

// Pages that one task of the estimate goes over.
constexpr int kRangePages = 16;
// Chunks of Dual Chunk Attention between the last query and a key, as far as they make a difference. One more
// than there are kinds, as the queries may begin in the chunk before.
constexpr int kAges = kKeyChunks + 1;

size_t index(int64_t i) {
  return static_cast<size_t>(i);
}

size_t page_bytes(KvType type, int32_t page_tokens, int32_t head_dim) {
  return index(page_tokens) *
         (type == KvType::kInt8 ? index(head_dim) + sizeof(float) : index(head_dim) * sizeof(uint16_t));
}

double log_add(double a, double b) {
  const double high = std::max(a, b), low = std::min(a, b);
  return low == -std::numeric_limits<double>::infinity() ? high : high + std::log1p(std::exp(low - high));
}

// The attention of some queries summed along columns and diagonals in two passes over the keys: the first
// finds what each row's exponentials sum up to. Rows [query][head of the group].
class Estimate {
 public:
  Estimate(CpuOps& ops, const Rope& rope, const AttentionArgs& args)
      : ops_(ops),
        kernels_(ops.kernels()),
        args_(args),
        last_position_(args.first_position + args.n_queries - 1),
        n_rows_(args.n_queries * args.group),
        n_pages_(last_position_ / args.page_tokens + 1),
        n_ranges_((n_pages_ + kRangePages - 1) / kRangePages),
        chunk_tokens_(rope.chunk_tokens()),
        slash_stride_(args.page_tokens + args.n_queries - 1),
        row_sums_(index(n_rows_)),
        columns_(index(args.group) * index(n_pages_) * index(args.page_tokens)),
        slashes_(index(args.group) * index(n_pages_) * index(slash_stride_)) {
    for (int age = 0; age < kAges && (age == 0 || age <= last_chunk()); ++age) make_queries(rope, age);
    measure();
    ops_.for_each(n_ranges_, [&](int range, int) { sum(range); });
  }

  int32_t n_keys() const { return last_position_ + 1; }
  // [n_keys], by position.
  std::vector<float> columns(int32_t g) const {
    const auto begin = columns_.begin() + int64_t{g} * n_pages_ * args_.page_tokens;
    return {begin, begin + n_keys()};
  }
  // [n_keys], by distance.
  std::vector<float> diagonals(int32_t g) const {
    std::vector<float> result(index(n_keys()), 0.0f);
    for (int page = 0; page < n_pages_; ++page) {
      const float* part = slashes_.data() + slash_at(g, page);
      const int32_t farthest = last_position_ - page * args_.page_tokens;
      for (int32_t i = 0; i <= std::min(farthest, slash_stride_ - 1); ++i)
        result[index(farthest - i)] += part[i];
    }
    return result;
  }

 private:
  struct Buffers {
    float* keys;        // [page_tokens, head_dim], of bytes
    std::byte* packed;  // the same as a matrix
    float* scores;      // [n_rows, page_tokens]
  };

  int last_chunk() const { return chunk_tokens_ == 0 ? 0 : last_position_ / chunk_tokens_; }
  DType key_type() const { return args_.k_type == KvType::kInt8 ? DType::kF32 : DType::kF16; }
  int64_t slash_at(int32_t g, int page) const { return (int64_t{g} * n_pages_ + page) * slash_stride_; }
  // How many of the page's keys the query sees.
  int32_t visible(int32_t query, int page) const {
    return std::clamp(args_.first_position + query + 1 - page * args_.page_tokens, 0, args_.page_tokens);
  }

  // The queries, times the scale, as they meet keys `age` chunks before the last query's.
  void make_queries(const Rope& rope, int age) {
    const int32_t d = args_.head_dim, width = args_.group * d;
    std::vector<float> rows(index(n_rows_) * index(d)), further(index(d));
    for (int32_t i = 0; i < args_.n_queries; ++i) {
      float* row = rows.data() + int64_t{i} * width;
      for (int32_t x = 0; x < width; ++x) row[x] = args_.scale * args_.q[i * args_.q_stride + x];
      if (chunk_tokens_ == 0) continue;
      const int apart = age - (last_chunk() - (args_.first_position + i) / chunk_tokens_);
      if (apart <= 0) continue;
      rope.fill_further(apart == 1 ? chunk_tokens_ : rope.table().chunk_size, further.data());
      kernels_.rope(row, further.data(), args_.group, d);
    }
    auto* out = arena_.take<std::byte>(kernels_.activation_bytes(key_type(), n_rows_, d));
    kernels_.quantize(key_type(), rows.data(), d, n_rows_, d, 0, n_rows_, out);
    queries_[age] = out;
  }

  Buffers take_buffers(ScratchArena& arena) const {
    const size_t tile_bytes = kernels_.row_tile_bytes(key_type(), args_.head_dim);
    return {.keys = arena.take<float>(index(args_.page_tokens) * index(args_.head_dim)),
            .packed = arena.take<std::byte>(index(args_.page_tokens / kRowTile) * tile_bytes),
            .scores = arena.take<float>(index(n_rows_) * index(args_.page_tokens))};
  }

  void score(int page, const Buffers& buffers) const {
    const int32_t d = args_.head_dim, n = args_.page_tokens;
    const void* keys = args_.k_pages[page];
    if (args_.k_type == KvType::kInt8) {
      const auto* bytes = static_cast<const int8_t*>(keys);
      const auto* scales = reinterpret_cast<const float*>(bytes + int64_t{n} * d);
      for (int32_t j = 0; j < n; ++j)
        for (int32_t c = 0; c < d; ++c)
          buffers.keys[j * d + c] = scales[j] * static_cast<float>(bytes[j * d + c]);
      keys = buffers.keys;
    }
    kernels_.pack(key_type(), keys, n, d, 0, n / kRowTile, buffers.packed);
    const PackedMatrix matrix{buffers.packed, key_type(), n, d, kernels_.row_tile_bytes(key_type(), d)};
    const int age = chunk_tokens_ == 0 ? 0 : std::min(last_chunk() - page * n / chunk_tokens_, kAges - 1);
    kernels_.matmul({.w = &matrix,
                     .x = queries_[age],
                     .n_tokens = n_rows_,
                     .row_begin = 0,
                     .row_end = n,
                     .bias = nullptr,
                     .y = buffers.scores,
                     .y_stride = n,
                     .accumulate = false});
  }

  // Calls visit(row, page, weights, n, log_sum) for the rows that see the page, where weights [n] are the
  // softmax over the page's keys alone and log_sum is the logarithm of what their exponentials sum up to.
  template <typename Visit>
  void for_rows_of(int range, const Visit& visit) const {
    ScratchArena arena;
    const Buffers buffers = take_buffers(arena);
    for (int page = range * kRangePages; page < std::min((range + 1) * kRangePages, n_pages_); ++page) {
      score(page, buffers);
      for (int32_t row = 0; row < n_rows_; ++row) {
        const int32_t n = visible(row / args_.group, page);
        if (n == 0) continue;
        float* scores = buffers.scores + int64_t{row} * args_.page_tokens;
        const float log_sum = kernels_.softmax(scores, n);
        visit(row, page, scores, n, double{log_sum});
      }
    }
  }

  // Fills row_sums_: the logarithm of what the exponentials of the whole row sum up to.
  void measure() {
    const double nothing = -std::numeric_limits<double>::infinity();
    std::vector<double> sums(index(n_ranges_) * index(n_rows_), nothing);
    ops_.for_each(n_ranges_, [&](int range, int) {
      double* of_range = sums.data() + int64_t{range} * n_rows_;
      for_rows_of(range, [&](int32_t row, int, const float*, int32_t, double log_sum) {
        of_range[row] = log_add(of_range[row], log_sum);
      });
    });
    std::fill(row_sums_.begin(), row_sums_.end(), nothing);
    for (size_t i = 0; i < sums.size(); ++i) {
      double& sum = row_sums_[i % row_sums_.size()];
      sum = log_add(sum, sums[i]);
    }
  }

  // A page's columns are its own; its diagonals, which others share, are summed in a place of their own: one
  // of them is at last_position - first key of the page - index.
  void sum(int range) {
    for_rows_of(range, [&](int32_t row, int page, const float* weights, int32_t n, double log_sum) {
      const auto share = static_cast<float>(std::exp(log_sum - row_sums_[index(row)]));
      const int32_t g = row % args_.group, query = row / args_.group;
      float* columns = columns_.data() + (int64_t{g} * n_pages_ + page) * args_.page_tokens;
      float* slashes = slashes_.data() + slash_at(g, page) + args_.n_queries - 1 - query;
      kernels_.add_scaled(columns, weights, share, n);
      kernels_.add_scaled(slashes, weights, share, n);
    });
  }

  CpuOps& ops_;
  const KernelTable& kernels_;
  const AttentionArgs& args_;
  const int32_t last_position_, n_rows_;
  const int n_pages_, n_ranges_, chunk_tokens_;
  const int32_t slash_stride_;
  ScratchArena arena_;
  const void* queries_[kAges] = {};
  std::vector<double> row_sums_;  // [n_rows]
  std::vector<float> columns_;    // [group, n_pages, page_tokens]
  std::vector<float> slashes_;    // [group, n_pages, slash_stride]
};

// The indices of the n largest, the first n_forced among them; of equal ones the first.
std::vector<int32_t> largest(std::vector<float> scores, int32_t n_forced, int n) {
  std::vector<int32_t> indices(scores.size());
  std::iota(indices.begin(), indices.end(), 0);
  const size_t kept = std::min(index(n), scores.size());
  std::fill_n(scores.begin(), std::min(index(n_forced), scores.size()),
              std::numeric_limits<float>::infinity());
  if (kept < scores.size())
    std::nth_element(indices.begin(), indices.begin() + static_cast<std::ptrdiff_t>(kept), indices.end(),
                     [&](int32_t a, int32_t b) {
                       const float x = scores[index(a)], y = scores[index(b)];
                       return x > y || (x == y && a < b);
                     });
  indices.resize(kept);
  return indices;
}

std::vector<int32_t> united(const std::vector<std::vector<int32_t>>& sets) {
  std::vector<int32_t> result;
  for (const auto& set : sets) result.insert(result.end(), set.begin(), set.end());
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

// Gathers the columns of the pages [begin, end) that are not read, all of one chunk's kind, or marks these
// pages as read where that takes no more of them.
void gather(std::span<const int32_t> wanted, int32_t page_tokens, int32_t begin, int32_t end,
            std::vector<bool>& read, BlockKeys& keys) {
  std::vector<int32_t> left_out;
  for (int32_t page = begin; page < end; ++page)
    if (!read[index(page)]) left_out.push_back(page);
  std::vector<int32_t> columns;
  auto column = std::lower_bound(wanted.begin(), wanted.end(), begin * page_tokens);
  for (; column != wanted.end() && *column < end * page_tokens; ++column)
    if (!read[index(*column / page_tokens)]) columns.push_back(*column);
  const size_t n_stand_ins = (columns.size() + index(page_tokens) - 1) / index(page_tokens);
  if (n_stand_ins == left_out.size()) {
    for (const int32_t page : left_out) read[index(page)] = true;
    return;
  }
  // Left-out pages have more unwanted keys than there are places to fill, since there are more such pages
  // than stand-ins.
  const size_t n = n_stand_ins * index(page_tokens);
  const std::vector<int32_t> asked = columns;
  for (const int32_t page : left_out) {
    for (int32_t key = page * page_tokens; key < (page + 1) * page_tokens && columns.size() < n; ++key)
      if (!std::binary_search(asked.begin(), asked.end(), key)) columns.push_back(key);
    if (columns.size() == n) break;
  }
  keys.columns.insert(keys.columns.end(), columns.begin(), columns.end());
  keys.stand_ins.insert(keys.stand_ins.end(), left_out.begin(),
                        left_out.begin() + static_cast<std::ptrdiff_t>(n_stand_ins));
}

// To the pages up to the block's own, its last.
size_t n_pointers(const BlockKeys& keys) {
  return index(keys.pages.back()) + 1;
}

void copy_columns(const void* const* pages, KvType type, int32_t page_tokens, int32_t head_dim,
                  std::span<const int32_t> columns, std::byte* out) {
  const size_t bytes = type == KvType::kInt8 ? index(head_dim) : index(head_dim) * sizeof(uint16_t);
  const size_t scales = index(page_tokens) * bytes;  // of bytes; halves have none
  for (size_t i = 0; i < columns.size(); ++i) {
    const auto* page = static_cast<const std::byte*>(pages[columns[i] / page_tokens]);
    const size_t slot = index(columns[i] % page_tokens);
    std::memcpy(out + i * bytes, page + slot * bytes, bytes);
    if (type == KvType::kInt8)
      std::memcpy(out + scales + i * sizeof(float), page + scales + slot * sizeof(float), sizeof(float));
  }
}

}  // namespace

VerticalSlash estimate_vertical_slash(CpuOps& ops, const Rope& rope, const AttentionArgs& last,
                                      std::span<const VerticalSlashBudget> budgets) {
  const Estimate estimate(ops, rope, last);
  std::vector<std::vector<int32_t>> columns(budgets.size()), diagonals(budgets.size());
  ops.for_each(static_cast<int>(2 * budgets.size()), [&](int i, int) {
    const auto head = index(i / 2);
    if (i % 2 == 0)
      columns[head] = largest(estimate.columns(i / 2), kSinkColumns, budgets[head].vertical);
    else
      diagonals[head] = largest(estimate.diagonals(i / 2), kNearDiagonals, budgets[head].slash);
  });
  return {united(columns), united(diagonals)};
}

BlockKeys choose_keys(const AttentionArgs& block, const VerticalSlash& wanted) {
  const int32_t n = block.page_tokens, first = block.first_position, last = first + block.n_queries - 1;
  const int32_t own = first / n, n_pages = last / n + 1;  // all queries see the pages before their own whole
  std::vector<bool> read(index(n_pages), false);
  const auto read_pages = [&](int32_t begin, int32_t end) {
    std::fill(read.begin() + begin, read.begin() + end, true);
  };
  read_pages(own, n_pages);
  for (const int32_t distance : wanted.diagonals) {
    if (distance > last) break;
    read_pages(std::max(first - distance, 0) / n, (last - distance) / n + 1);
  }
  std::vector<int32_t> n_wanted(index(n_pages), 0);
  for (const int32_t column : wanted.columns)
    if (column <= last && 2 * ++n_wanted[index(column / n)] >= n) read[index(column / n)] = true;
  BlockKeys keys;
  const int32_t succ = std::min(block.succ_page, own), intra = std::min(block.intra_page, own);
  gather(wanted.columns, n, 0, succ, read, keys);
  gather(wanted.columns, n, succ, intra, read, keys);
  gather(wanted.columns, n, intra, own, read, keys);
  for (const int32_t page : keys.stand_ins) read[index(page)] = true;
  for (int32_t page = 0; page < n_pages; ++page)
    if (read[index(page)]) keys.pages.push_back(page);
  return keys;
}

size_t gathered_bytes(const AttentionArgs& block, const BlockKeys& keys) {
  return keys.stand_ins.size() * (page_bytes(block.k_type, block.page_tokens, block.head_dim) +
                                  page_bytes(block.v_type, block.page_tokens, block.head_dim)) +
         2 * n_pointers(keys) * sizeof(void*);
}

AttentionArgs with_gathered(AttentionArgs block, const BlockKeys& keys, std::byte* memory) {
  const auto stand_in = [&](const void* const* pages, KvType type) {
    const size_t bytes = page_bytes(type, block.page_tokens, block.head_dim);
    auto** result = reinterpret_cast<const void**>(memory + keys.stand_ins.size() * bytes);
    std::copy_n(pages, n_pointers(keys), result);
    for (size_t i = 0; i < keys.stand_ins.size(); ++i, memory += bytes) {
      const auto columns =
          std::span(keys.columns).subspan(i * index(block.page_tokens), index(block.page_tokens));
      copy_columns(pages, type, block.page_tokens, block.head_dim, columns, memory);
      result[keys.stand_ins[i]] = memory;
    }
    memory += n_pointers(keys) * sizeof(void*);
    return result;
  };
  block.k_pages = stand_in(block.k_pages, block.k_type);
  block.v_pages = stand_in(block.v_pages, block.v_type);
  block.pages = keys.pages.data();
  block.n_pages = static_cast<int32_t>(keys.pages.size());
  return block;
}

}  // namespace lectern
