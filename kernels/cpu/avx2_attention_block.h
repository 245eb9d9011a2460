// Causal attention over a paged cache of halves or of bytes with a scale a token: the query heads that share
// a KV head, and a block of queries, meet each page of keys together, as two small float matrix products
// around an online softmax. Only for ISA files.
//
// The scales do not meet every number: those of keys multiply the finished scores, those of values the
// weights of the average.
//
// A row is one query head of one query. What is computed for a row does not depend on the rows beside it, so
// a prompt gives the same result however it is cut into chunks. Nor does it depend on the bundle: `V`, the
// vectors of an instruction set, says how many numbers are computed at once, not in which order one is.
#pragma once

#include <utility>

#include "kernels/cpu/avx2_math.h"
#include "kernels/cpu/kernel_table.h"

namespace lectern::avx2 {
namespace {

// V has
//   Floats, kLanes                   a vector of so many floats
//   load, store, set, broadcast      set(x): x in every lane; broadcast(p): *p
//   load_numbers                     kLanes halves, bytes or floats as floats
//   sub, mul, fma(a, b, c)           a - b, a * b, a * b + c
//   exp                              as in avx2_math.h
//   largest(scores, visible, start)  of the first `visible` scores and `start`
//   exponentials(scores, visible, n_keys, max)  turns the first `visible` of n_keys scores into exp(score -
//                                    max), the others into 0; returns the sum
//   kRows                            rows that meet a page together, about
//   kTileRows                        rows of a register tile at most; beside them it has two vectors
template <typename V>
constexpr int kPanel = 2 * V::kLanes;  // keys or value channels of a register tile

template <typename V>
int32_t query_block(int32_t group) {
  return group < V::kRows ? V::kRows / group : 1;
}

// Floats of the scratch memory, in this order.
struct Scratch {
  Scratch(void* memory, int32_t rows, int32_t head_dim, int32_t page_tokens) {
    k = static_cast<float*>(memory);
    v = k + page_tokens * head_dim;
    q = v + page_tokens * head_dim;
    scores = q + rows * head_dim;
    out = scores + rows * page_tokens;
    max = out + rows * head_dim;
    new_max = max + padded(rows);
    sum = new_max + padded(rows);
    shrink = sum + padded(rows);
  }
  // Numbers that every row has one of, as whole vectors.
  static int32_t padded(int32_t rows) { return (rows + 15) / 16 * 16; }

  float* k;                    // [page_tokens / kPanel][head_dim][kPanel]
  float* v;                    // [page_tokens][head_dim], where several tiles of rows read them
  float* q;                    // [rows][head_dim], times the scale
  float* scores;               // [rows][page_tokens], then their exponentials
  float* out;                  // [rows][head_dim], not yet divided by the sum
  float *max, *new_max, *sum;  // [rows]: of the pages before; with this page
  float* shrink;               // [rows]: what the new maximum leaves of the old sums
};

LECTERN_ALWAYS_INLINE void transpose(__m256 rows[8]) {
  __m256 pairs[8], quads[8];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], _MM_SHUFFLE(1, 0, 1, 0));
    quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], _MM_SHUFFLE(3, 2, 3, 2));
    quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], _MM_SHUFFLE(1, 0, 1, 0));
    quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], _MM_SHUFFLE(3, 2, 3, 2));
  }
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
    rows[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
  }
}

LECTERN_ALWAYS_INLINE __m256 load_eight(const uint16_t* halves) {
  return load_halves(halves);
}
LECTERN_ALWAYS_INLINE __m256 load_eight(const int8_t* bytes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes))));
}

// kPanel keys [kPanel][head_dim] as [head_dim][kPanel] floats.
template <typename V, typename Number>
void load_key_panel(const Number* keys, int32_t head_dim, float* panel) {
  for (int32_t d = 0; d < head_dim; d += 8) {
    for (int eighth = 0; eighth < kPanel<V>; eighth += 8) {
      __m256 rows[8];
      for (int j = 0; j < 8; ++j) rows[j] = load_eight(keys + (eighth + j) * head_dim + d);
      transpose(rows);
      for (int j = 0; j < 8; ++j) _mm256_storeu_ps(panel + (d + j) * kPanel<V> + eighth, rows[j]);
    }
  }
}

// values[n_numbers] as floats.
template <typename V, typename Number>
void widen(const void* values, int32_t n_numbers, float* out) {
  const auto* numbers = static_cast<const Number*>(values);
  for (int32_t i = 0; i < n_numbers; i += V::kLanes) V::store(out + i, V::load_numbers(numbers + i));
}

// scores[R][kPanel keys] = q[R][head_dim] . panel[head_dim][kPanel]
template <typename V, int R>
void score_tile(const float* q, const float* panel, int32_t head_dim, float* scores, int32_t stride) {
  typename V::Floats sums[R][2];
  LECTERN_UNROLL
  for (int r = 0; r < R; ++r) sums[r][0] = sums[r][1] = V::set(0.0f);
  for (int32_t d = 0; d < head_dim; ++d, panel += kPanel<V>) {
    const auto k0 = V::load(panel), k1 = V::load(panel + V::kLanes);
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) {
      const auto a = V::broadcast(q + r * head_dim + d);
      sums[r][0] = V::fma(a, k0, sums[r][0]);
      sums[r][1] = V::fma(a, k1, sums[r][1]);
    }
  }
  LECTERN_UNROLL
  for (int r = 0; r < R; ++r) {
    V::store(scores + r * stride, sums[r][0]);
    V::store(scores + r * stride + V::kLanes, sums[r][1]);
  }
}

// out[R][N * kLanes channels] = shrink[R] * out + weights[R][n_keys] . values[n_keys][N * kLanes]
template <typename V, int R, int N, typename Number>
void value_tile(const float* weights, int32_t weights_stride, const void* all_values, int32_t n_keys,
                int32_t head_dim, const float* shrink, float* out) {
  const auto* values = static_cast<const Number*>(all_values);
  typename V::Floats sums[R][N];
  LECTERN_UNROLL
  for (int r = 0; r < R; ++r) {
    LECTERN_UNROLL
    for (int v = 0; v < N; ++v)
      sums[r][v] = V::mul(V::broadcast(shrink + r), V::load(out + r * head_dim + v * V::kLanes));
  }
  for (int32_t j = 0; j < n_keys; ++j, values += head_dim) {
    typename V::Floats value[N];
    LECTERN_UNROLL
    for (int v = 0; v < N; ++v) value[v] = V::load_numbers(values + v * V::kLanes);
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) {
      const auto a = V::broadcast(weights + r * weights_stride + j);
      LECTERN_UNROLL
      for (int v = 0; v < N; ++v) sums[r][v] = V::fma(a, value[v], sums[r][v]);
    }
  }
  LECTERN_UNROLL
  for (int r = 0; r < R; ++r) {
    LECTERN_UNROLL
    for (int v = 0; v < N; ++v) V::store(out + r * head_dim + v * V::kLanes, sums[r][v]);
  }
}

using ScoreTile = void (*)(const float*, const float*, int32_t, float*, int32_t);
using ValueTile = void (*)(const float*, int32_t, const void*, int32_t, int32_t, const float*, float*);

// The tiles by their number of rows less 1.
template <typename V, typename Rows = std::make_integer_sequence<int, V::kTileRows>>
struct Tiles;
template <typename V, int... R>
struct Tiles<V, std::integer_sequence<int, R...>> {
  static constexpr ScoreTile kScore[] = {score_tile<V, R + 1>...};
  // And by whether there are two vectors of channels.
  template <typename Number>
  static constexpr ValueTile kValue[2][V::kTileRows] = {{value_tile<V, R + 1, 1, Number>...},
                                                        {value_tile<V, R + 1, 2, Number>...}};
};

// x[j] *= scales[j], and perhaps up to kLanes - 1 numbers more.
template <typename V>
void scale_row(float* x, const float* scales, int32_t n) {
  for (int32_t j = 0; j < n; j += V::kLanes) V::store(x + j, V::mul(V::load(x + j), V::load(scales + j)));
}

// The rows of one query block against one page.
template <typename V>
struct Block {
  const AttentionArgs& args;
  Scratch scratch;
  int32_t first_query, n_rows;

  // How many of the page's keys row `row` sees: may be negative, or more than the page has.
  int32_t visible(int32_t row, int32_t first_key) const {
    return args.first_position + first_query + row / args.group + 1 - first_key;
  }

  // The scales of a page's tokens, after its bytes; null for halves.
  const float* scales(const void* page, KvType type) const {
    if (type == KvType::kF16) return nullptr;
    return reinterpret_cast<const float*>(static_cast<const int8_t*>(page) +
                                          args.page_tokens * args.head_dim);
  }

  // Calls tile(row, n, keys) for tiles of about equal size; `keys` is what the last row of the tile sees.
  template <typename Tile>
  LECTERN_ALWAYS_INLINE void for_tiles(int32_t first_key, int32_t n_keys, const Tile& tile) const {
    const int32_t n_tiles = (n_rows + V::kTileRows - 1) / V::kTileRows;
    for (int32_t i = 0; i < n_tiles; ++i) {
      const int32_t begin = n_rows * i / n_tiles, end = n_rows * (i + 1) / n_tiles;
      const int32_t seen = visible(end - 1, first_key);
      if (seen > 0) tile(begin, end - begin, seen < n_keys ? seen : n_keys);
    }
  }

  void start() const {
    for (int32_t row = 0; row < n_rows; ++row) {
      for (int32_t d = 0; d < args.head_dim; d += V::kLanes)
        V::store(scratch.out + row * args.head_dim + d, V::set(0.0f));
      scratch.max[row] = -__builtin_inff();
      scratch.sum[row] = 0.0f;
    }
  }

  const float* queries_of(int32_t page) const {
    return page >= args.intra_page ? args.q : page >= args.succ_page ? args.q_succ : args.q_inter;
  }

  void take_queries(const float* queries) const {
    const int32_t head_dim = args.head_dim;
    const auto scale = V::set(args.scale);
    for (int32_t row = 0; row < n_rows; ++row) {
      const float* q =
          queries + (first_query + row / args.group) * args.q_stride + row % args.group * head_dim;
      for (int32_t d = 0; d < head_dim; d += V::kLanes)
        V::store(scratch.q + row * head_dim + d, V::mul(scale, V::load(q + d)));
    }
  }

  void take_page(int32_t page, int32_t n_keys) const {
    const int32_t head_dim = args.head_dim, stride = args.page_tokens;
    const int32_t first_key = page * args.page_tokens;
    const void *keys = args.k_pages[page], *values = args.v_pages[page];
    for (int32_t j = 0; j < n_keys; j += kPanel<V>) {
      float* panel = scratch.k + j * head_dim;
      if (args.k_type == KvType::kInt8) {
        load_key_panel<V>(static_cast<const int8_t*>(keys) + j * head_dim, head_dim, panel);
      } else {
        load_key_panel<V>(static_cast<const uint16_t*>(keys) + j * head_dim, head_dim, panel);
      }
      for_tiles(
          first_key, n_keys, [&](int32_t row, int32_t n, int32_t seen) __attribute__((always_inline)) {
            if (j >= seen) return;
            Tiles<V>::kScore[n - 1](scratch.q + row * head_dim, panel, head_dim,
                                    scratch.scores + row * stride + j, stride);
          });
    }
    const float *key_scales = scales(keys, args.k_type), *value_scales = scales(values, args.v_type);
    const auto seen_by = [&](int32_t row) {
      const int32_t seen = visible(row, first_key);
      return seen < 0 ? 0 : seen < n_keys ? seen : n_keys;
    };
    for (int32_t row = 0; row < n_rows; ++row) {
      float* scores = scratch.scores + row * stride;
      if (key_scales != nullptr) scale_row<V>(scores, key_scales, seen_by(row));
      scratch.new_max[row] = V::largest(scores, seen_by(row), scratch.max[row]);
    }
    for (int32_t row = 0; row < n_rows; row += V::kLanes) {
      const auto new_max = V::load(scratch.new_max + row);
      V::store(scratch.shrink + row, V::exp(V::sub(V::load(scratch.max + row), new_max)));
      V::store(scratch.max + row, new_max);
    }
    for (int32_t row = 0; row < n_rows; ++row) {
      float* scores = scratch.scores + row * stride;
      scratch.sum[row] = scratch.sum[row] * scratch.shrink[row] +
                         V::exponentials(scores, seen_by(row), n_keys, scratch.max[row]);
      if (value_scales != nullptr) scale_row<V>(scores, value_scales, seen_by(row));
    }
    if (n_rows <= V::kTileRows) {  // one tile: the values are read once
      if (args.v_type == KvType::kInt8) {
        add_values<int8_t>(first_key, n_keys, values);
      } else {
        add_values<uint16_t>(first_key, n_keys, values);
      }
      return;
    }
    const auto widened = args.v_type == KvType::kInt8 ? widen<V, int8_t> : widen<V, uint16_t>;
    widened(values, n_keys * head_dim, scratch.v);
    add_values<float>(first_key, n_keys, scratch.v);
  }

  template <typename Number>
  void add_values(int32_t first_key, int32_t n_keys, const void* values) const {
    const int32_t head_dim = args.head_dim, stride = args.page_tokens;
    for (int32_t d = 0; d < head_dim; d += kPanel<V>) {
      const bool wide = d + kPanel<V> <= head_dim;
      for_tiles(
          first_key, n_keys, [&](int32_t row, int32_t n, int32_t seen) __attribute__((always_inline)) {
            Tiles<V>::template kValue<Number>[wide][n - 1](
                scratch.scores + row * stride, stride, static_cast<const Number*>(values) + d, seen, head_dim,
                scratch.shrink + row, scratch.out + row * head_dim + d);
          });
    }
  }

  void finish() const {
    const int32_t head_dim = args.head_dim;
    for (int32_t row = 0; row < n_rows; ++row) {
      const auto inverse = V::set(1.0f / scratch.sum[row]);
      if (args.log_sum_exp != nullptr)
        args.log_sum_exp[first_query * args.group + row] = scratch.max[row] + log_of(scratch.sum[row]);
      float* out =
          args.out + (first_query + row / args.group) * args.out_stride + row % args.group * head_dim;
      for (int32_t d = 0; d < head_dim; d += V::kLanes)
        V::store(out + d, V::mul(inverse, V::load(scratch.out + row * head_dim + d)));
    }
  }
};

// Whether the shapes are whole vectors; else another bundle's attention is to be called.
template <typename V>
bool is_vectorised(int32_t head_dim, int32_t page_tokens) {
  return head_dim % V::kLanes == 0 && page_tokens % kPanel<V> == 0;
}

template <typename V>
size_t scratch_bytes(int32_t group, int32_t head_dim, int32_t page_tokens) {
  const int32_t rows = query_block<V>(group) * group;
  const auto floats = static_cast<size_t>(2 * page_tokens + 2 * rows) * static_cast<size_t>(head_dim) +
                      static_cast<size_t>(rows) * static_cast<size_t>(page_tokens) +
                      static_cast<size_t>(4 * Scratch::padded(rows));
  return (floats * sizeof(float) + 63) / 64 * 64;
}

template <typename V>
void attention_in_blocks(const AttentionArgs& args) {
  const int32_t step = query_block<V>(args.group);
  for (int32_t query = 0; query < args.n_queries; query += step) {
    const int32_t n = args.n_queries - query < step ? args.n_queries - query : step;
    const Block<V> block = {args, Scratch(args.scratch, step * args.group, args.head_dim, args.page_tokens),
                            query, n * args.group};
    block.start();
    const int32_t n_keys = args.first_position + query + n;  // that the last query sees
    const int32_t n_pages =
        args.pages != nullptr ? args.n_pages : (n_keys + args.page_tokens - 1) / args.page_tokens;
    const float* queries = nullptr;
    for (int32_t i = 0; i < n_pages; ++i) {
      const int32_t page = args.pages != nullptr ? args.pages[i] : i;
      const int32_t left = n_keys - page * args.page_tokens;
      if (left <= 0) break;
      if (const float* wanted = block.queries_of(page); wanted != queries) {
        block.take_queries(wanted);
        queries = wanted;
      }
      block.take_page(page, left < args.page_tokens ? left : args.page_tokens);
    }
    block.finish();
  }
}

}  // namespace
}  // namespace lectern::avx2
