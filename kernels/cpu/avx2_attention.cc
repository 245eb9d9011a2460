// Causal attention over a paged cache of halves or of bytes with a scale a token: the query heads that share
// a KV head, and a block of queries, meet each page of keys together, as two small float matrix products
// around an online softmax.
//
// The scales do not meet every number: those of keys multiply the finished scores, those of values the
// weights of the average.
//
// A row is one query head of one query. What is computed for a row does not depend on the rows beside it, so
// a prompt gives the same result however it is cut into chunks.
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_math.h"
#include "kernels/cpu/bundles.h"

namespace lectern::avx2 {
namespace {

constexpr int kRows = 64;   // rows that meet a page together, about
constexpr int kPanel = 16;  // keys or value channels of a register tile, and up to kTileRows rows
constexpr int kTileRows = 6;

bool is_vectorised(int32_t head_dim, int32_t page_tokens) {
  return head_dim % 8 == 0 && page_tokens % kPanel == 0;
}

int32_t query_block(int32_t group) {
  return group < kRows ? kRows / group : 1;
}

// Floats of the scratch memory, in this order.
struct Scratch {
  Scratch(void* memory, int32_t rows, int32_t head_dim, int32_t page_tokens) {
    k = static_cast<float*>(memory);
    q = k + page_tokens * head_dim;
    scores = q + rows * head_dim;
    out = scores + rows * page_tokens;
    max = out + rows * head_dim;
    sum = max + rows;
    shrink = sum + rows;
    end = shrink + rows;
  }
  float* k;       // [page_tokens / 16][head_dim][16]
  float* q;       // [rows][head_dim], times the scale
  float* scores;  // [rows][page_tokens], then their exponentials
  float* out;     // [rows][head_dim], not yet divided by the sum
  float *max, *sum;
  float* shrink;  // what the page's new maximum leaves of the old sums
  float* end;
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

LECTERN_ALWAYS_INLINE __m256 load_numbers(const uint16_t* halves) {
  return load_halves(halves);
}
LECTERN_ALWAYS_INLINE __m256 load_numbers(const int8_t* bytes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes))));
}

// Sixteen keys [16][head_dim] as [head_dim][16] floats.
template <typename Number>
void load_key_panel(const Number* keys, int32_t head_dim, float* panel) {
  for (int32_t d = 0; d < head_dim; d += 8) {
    for (int half = 0; half < kPanel; half += 8) {
      __m256 rows[8];
      for (int j = 0; j < 8; ++j) rows[j] = load_numbers(keys + (half + j) * head_dim + d);
      transpose(rows);
      for (int j = 0; j < 8; ++j) _mm256_storeu_ps(panel + (d + j) * kPanel + half, rows[j]);
    }
  }
}

// scores[R][16 keys] = q[R][head_dim] . panel[head_dim][16]
template <int R>
void score_tile(const float* q, const float* panel, int32_t head_dim, float* scores, int32_t stride) {
  __m256 sums[R][2];
  LECTERN_UNROLL
  for (int r = 0; r < R; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_ps();
  for (int32_t d = 0; d < head_dim; ++d, panel += kPanel) {
    const __m256 k0 = _mm256_loadu_ps(panel), k1 = _mm256_loadu_ps(panel + 8);
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) {
      const __m256 a = _mm256_broadcast_ss(q + r * head_dim + d);
      sums[r][0] = _mm256_fmadd_ps(a, k0, sums[r][0]);
      sums[r][1] = _mm256_fmadd_ps(a, k1, sums[r][1]);
    }
  }
  LECTERN_UNROLL
  for (int r = 0; r < R; ++r) {
    _mm256_storeu_ps(scores + r * stride, sums[r][0]);
    _mm256_storeu_ps(scores + r * stride + 8, sums[r][1]);
  }
}

// out[R][V * 8 channels] = shrink[R] * out + weights[R][n_keys] . values[n_keys][V * 8]
template <int R, int V, typename Number>
void value_tile(const float* weights, int32_t weights_stride, const void* all_values, int32_t n_keys,
                int32_t head_dim, const float* shrink, float* out) {
  const auto* values = static_cast<const Number*>(all_values);
  __m256 sums[R][V];
  LECTERN_UNROLL
  for (int r = 0; r < R; ++r) {
    LECTERN_UNROLL
    for (int v = 0; v < V; ++v) {
      sums[r][v] = _mm256_mul_ps(_mm256_set1_ps(shrink[r]), _mm256_loadu_ps(out + r * head_dim + v * 8));
    }
  }
  for (int32_t j = 0; j < n_keys; ++j, values += head_dim) {
    __m256 value[V];
    LECTERN_UNROLL
    for (int v = 0; v < V; ++v) value[v] = load_numbers(values + v * 8);
    LECTERN_UNROLL
    for (int r = 0; r < R; ++r) {
      const __m256 a = _mm256_broadcast_ss(weights + r * weights_stride + j);
      LECTERN_UNROLL
      for (int v = 0; v < V; ++v) sums[r][v] = _mm256_fmadd_ps(a, value[v], sums[r][v]);
    }
  }
  LECTERN_UNROLL
  for (int r = 0; r < R; ++r) {
    LECTERN_UNROLL
    for (int v = 0; v < V; ++v) _mm256_storeu_ps(out + r * head_dim + v * 8, sums[r][v]);
  }
}

using ScoreTile = void (*)(const float*, const float*, int32_t, float*, int32_t);
using ValueTile = void (*)(const float*, int32_t, const void*, int32_t, int32_t, const float*, float*);
constexpr ScoreTile kScoreTiles[] = {nullptr,       score_tile<1>, score_tile<2>, score_tile<3>,
                                     score_tile<4>, score_tile<5>, score_tile<6>};
template <int V, typename Number>
constexpr ValueTile kValueTilesOf[] = {nullptr,
                                       value_tile<1, V, Number>,
                                       value_tile<2, V, Number>,
                                       value_tile<3, V, Number>,
                                       value_tile<4, V, Number>,
                                       value_tile<5, V, Number>,
                                       value_tile<6, V, Number>};
constexpr const ValueTile* kValueTiles[2][2] = {{kValueTilesOf<1, uint16_t>, kValueTilesOf<2, uint16_t>},
                                                {kValueTilesOf<1, int8_t>, kValueTilesOf<2, int8_t>}};

// x[j] *= scales[j], and perhaps up to seven numbers more.
void scale_row(float* x, const float* scales, int32_t n) {
  for (int32_t j = 0; j < n; j += 8) {
    _mm256_storeu_ps(x + j, _mm256_mul_ps(_mm256_loadu_ps(x + j), _mm256_loadu_ps(scales + j)));
  }
}

// Turns a row's first `visible` scores into exponentials, the others of n_keys into 0.
void softmax_row(float* scores, int32_t visible, int32_t n_keys, float* max, float* sum, float* shrink) {
  const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
  __m256 peak = _mm256_set1_ps(*max);
  for (int32_t j = 0; j < visible; j += 8) {
    const __m256 lanes = _mm256_castsi256_ps(lanes_below(visible - j));
    peak = _mm256_max_ps(peak, _mm256_blendv_ps(lowest, _mm256_loadu_ps(scores + j), lanes));
  }
  const float new_max = max_of(peak);
  const __m256 new_peak = _mm256_set1_ps(new_max);
  *shrink = _mm256_cvtss_f32(exp(_mm256_sub_ps(_mm256_set1_ps(*max), new_peak)));
  __m256 total = _mm256_setzero_ps();
  int32_t j = 0;
  for (; j < visible; j += 8) {
    const __m256 lanes = _mm256_castsi256_ps(lanes_below(visible - j));
    const __m256 weight = _mm256_and_ps(lanes, exp(_mm256_sub_ps(_mm256_loadu_ps(scores + j), new_peak)));
    _mm256_storeu_ps(scores + j, weight);
    total = _mm256_add_ps(total, weight);
  }
  for (; j < n_keys; j += 8) _mm256_storeu_ps(scores + j, _mm256_setzero_ps());
  *max = new_max;
  *sum = *sum * *shrink + sum_of(total);
}

// The rows of one query block against one page.
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
    const int32_t n_tiles = (n_rows + kTileRows - 1) / kTileRows;
    for (int32_t i = 0; i < n_tiles; ++i) {
      const int32_t begin = n_rows * i / n_tiles, end = n_rows * (i + 1) / n_tiles;
      const int32_t seen = visible(end - 1, first_key);
      if (seen > 0) tile(begin, end - begin, seen < n_keys ? seen : n_keys);
    }
  }

  void start() const {
    for (int32_t row = 0; row < n_rows; ++row) {
      for (int32_t d = 0; d < args.head_dim; d += 8)
        _mm256_storeu_ps(scratch.out + row * args.head_dim + d, _mm256_setzero_ps());
      scratch.max[row] = -__builtin_inff();
      scratch.sum[row] = 0.0f;
    }
  }

  const float* queries_of(int32_t page) const {
    return page >= args.intra_page ? args.q : page >= args.succ_page ? args.q_succ : args.q_inter;
  }

  void take_queries(const float* queries) const {
    const int32_t head_dim = args.head_dim;
    const __m256 scale = _mm256_set1_ps(args.scale);
    for (int32_t row = 0; row < n_rows; ++row) {
      const float* q =
          queries + (first_query + row / args.group) * args.q_stride + row % args.group * head_dim;
      for (int32_t d = 0; d < head_dim; d += 8)
        _mm256_storeu_ps(scratch.q + row * head_dim + d, _mm256_mul_ps(scale, _mm256_loadu_ps(q + d)));
    }
  }

  void take_page(int32_t page, int32_t n_keys) const {
    const int32_t head_dim = args.head_dim, stride = args.page_tokens;
    const int32_t first_key = page * args.page_tokens;
    const void *keys = args.k_pages[page], *values = args.v_pages[page];
    for (int32_t j = 0; j < n_keys; j += kPanel) {
      float* panel = scratch.k + j * head_dim;
      if (args.k_type == KvType::kInt8) {
        load_key_panel(static_cast<const int8_t*>(keys) + j * head_dim, head_dim, panel);
      } else {
        load_key_panel(static_cast<const uint16_t*>(keys) + j * head_dim, head_dim, panel);
      }
      for_tiles(
          first_key, n_keys, [&](int32_t row, int32_t n, int32_t seen) __attribute__((always_inline)) {
            if (j >= seen) return;
            kScoreTiles[n](scratch.q + row * head_dim, panel, head_dim, scratch.scores + row * stride + j,
                           stride);
          });
    }
    const float *key_scales = scales(keys, args.k_type), *value_scales = scales(values, args.v_type);
    for (int32_t row = 0; row < n_rows; ++row) {
      int32_t seen = visible(row, first_key);
      seen = seen < 0 ? 0 : seen < n_keys ? seen : n_keys;
      float* scores = scratch.scores + row * stride;
      if (key_scales != nullptr) scale_row(scores, key_scales, seen);
      softmax_row(scores, seen, n_keys, &scratch.max[row], &scratch.sum[row], &scratch.shrink[row]);
      if (value_scales != nullptr) scale_row(scores, value_scales, seen);
    }
    const size_t value_bytes = args.v_type == KvType::kInt8 ? 1 : 2;
    for (int32_t d = 0; d < head_dim; d += kPanel) {
      const bool wide = d + kPanel <= head_dim;
      for_tiles(
          first_key, n_keys, [&](int32_t row, int32_t n, int32_t seen) __attribute__((always_inline)) {
            kValueTiles[static_cast<int>(args.v_type)][wide][n](
                scratch.scores + row * stride, stride,
                static_cast<const std::byte*>(values) + static_cast<size_t>(d) * value_bytes, seen, head_dim,
                scratch.shrink + row, scratch.out + row * head_dim + d);
          });
    }
  }

  void finish() const {
    const int32_t head_dim = args.head_dim;
    for (int32_t row = 0; row < n_rows; ++row) {
      const __m256 inverse = _mm256_set1_ps(1.0f / scratch.sum[row]);
      if (args.log_sum_exp != nullptr)
        args.log_sum_exp[first_query * args.group + row] = scratch.max[row] + log_of(scratch.sum[row]);
      float* out =
          args.out + (first_query + row / args.group) * args.out_stride + row % args.group * head_dim;
      for (int32_t d = 0; d < head_dim; d += 8) {
        _mm256_storeu_ps(out + d, _mm256_mul_ps(inverse, _mm256_loadu_ps(scratch.out + row * head_dim + d)));
      }
    }
  }
};

}  // namespace

size_t attention_scratch_bytes(int32_t group, int32_t head_dim, int32_t page_tokens) {
  if (!is_vectorised(head_dim, page_tokens)) {
    return kGenericKernels.attention_scratch_bytes(group, head_dim, page_tokens);
  }
  const int32_t rows = query_block(group) * group;
  const auto floats = static_cast<size_t>(page_tokens + 2 * rows) * static_cast<size_t>(head_dim) +
                      static_cast<size_t>(rows) * static_cast<size_t>(page_tokens + 3);
  return (floats * sizeof(float) + 63) / 64 * 64;
}

void attention(const AttentionArgs& args) {
  if (!is_vectorised(args.head_dim, args.page_tokens)) return kGenericKernels.attention(args);
  const int32_t step = query_block(args.group);
  for (int32_t query = 0; query < args.n_queries; query += step) {
    const int32_t n = args.n_queries - query < step ? args.n_queries - query : step;
    const Block block = {args, Scratch(args.scratch, step * args.group, args.head_dim, args.page_tokens),
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

template <typename Number>
void sum_keys(const Number* keys, const float* scales, int32_t n_keys, int32_t head_dim, float* mean) {
  const __m256 share = _mm256_set1_ps(1.0f / static_cast<float>(n_keys));
  for (int32_t d = 0; d < head_dim; d += 8) {
    __m256 sum = _mm256_setzero_ps();
    for (int32_t j = 0; j < n_keys; ++j) {
      const __m256 key = load_numbers(keys + j * head_dim + d);
      sum = scales == nullptr ? _mm256_add_ps(sum, key)
                              : _mm256_fmadd_ps(_mm256_broadcast_ss(scales + j), key, sum);
    }
    _mm256_storeu_ps(mean + d, _mm256_mul_ps(share, sum));
  }
}

void page_mean(const void* page, KvType type, int32_t page_tokens, int32_t head_dim, float* mean) {
  if (head_dim % 8 != 0) return kGenericKernels.page_mean(page, type, page_tokens, head_dim, mean);
  if (type == KvType::kF16) {
    return sum_keys(static_cast<const uint16_t*>(page), nullptr, page_tokens, head_dim, mean);
  }
  const auto* bytes = static_cast<const int8_t*>(page);
  sum_keys(bytes, reinterpret_cast<const float*>(bytes + page_tokens * head_dim), page_tokens, head_dim,
           mean);
}

void dots(const float* x, const float* rows, int32_t n_rows, int32_t n, float* out) {
  if (n % 8 != 0) return kGenericKernels.dots(x, rows, n_rows, n, out);
  for (int32_t r = 0; r < n_rows; ++r) {
    const float* row = rows + static_cast<int64_t>(r) * n;
    __m256 sum = _mm256_setzero_ps();
    for (int32_t i = 0; i < n; i += 8)
      sum = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(row + i), sum);
    out[r] = sum_of(sum);
  }
}

}  // namespace lectern::avx2
