// The bundle that runs everywhere: weights stay as they lie in the file, activations stay float, every
// product is a float dot with dequantised weights. Written to be read; the other bundles are tested against
// it.
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/bundles.h"
#include "kernels/reference/dequantize.h"

namespace lectern {
namespace {

constexpr int kChunk = 256;      // weights dequantised at a time: a multiple of every block
constexpr int kQueryBlock = 16;  // queries that share one conversion of a K/V page

constexpr float kSmallestKv = 1e-30f;  // below, numbers count as 0: 127 / x must stay finite

size_t round_up_64(size_t n) {
  return (n + 63) / 64 * 64;
}

size_t row_bytes(DType dtype, int32_t cols) {
  const DTypeInfo& info = kDTypeInfo[static_cast<int>(dtype)];
  return static_cast<size_t>(cols) / static_cast<size_t>(info.block_elements) *
         static_cast<size_t>(info.block_bytes);
}

// Eight partial sums, so that the compiler may vectorise without reordering float additions on its own.
float dot(const float* a, const float* b, int32_t n) {
  float sums[8] = {};
  int32_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int k = 0; k < 8; ++k) sums[k] += a[i + k] * b[i + k];
  }
  for (; i < n; ++i) sums[i & 7] += a[i] * b[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

// -- weights and activations --------------------------------------------------------------------------------

size_t row_tile_bytes(DType dtype, int32_t cols) {
  return round_up_64(kRowTile * row_bytes(dtype, cols));
}

void pack(DType dtype, const void* src, int32_t rows, int32_t cols, int32_t tile_begin, int32_t tile_end,
          void* dst) {
  const size_t row = row_bytes(dtype, cols);
  const size_t tile_bytes = row_tile_bytes(dtype, cols);
  for (int32_t tile = tile_begin; tile < tile_end; ++tile) {
    auto* out = static_cast<uint8_t*>(dst) + static_cast<size_t>(tile) * tile_bytes;
    const int32_t first = tile * kRowTile;
    const auto present = static_cast<size_t>(rows - first < kRowTile ? rows - first : kRowTile);
    std::memcpy(out, static_cast<const uint8_t*>(src) + static_cast<size_t>(first) * row, present * row);
    // Zero bytes decode to zero in every format.
    std::memset(out + present * row, 0, tile_bytes - present * row);
  }
}

size_t activation_bytes(DType, int32_t n_tokens, int32_t cols) {
  return round_up_64(static_cast<size_t>(n_tokens) * static_cast<size_t>(cols) * sizeof(float));
}

void quantize(DType, const float* x, int64_t x_stride, int32_t, int32_t cols, int32_t token_begin,
              int32_t token_end, void* dst) {
  for (int32_t t = token_begin; t < token_end; ++t) {
    std::memcpy(static_cast<float*>(dst) + static_cast<size_t>(t) * static_cast<size_t>(cols),
                x + t * x_stride, static_cast<size_t>(cols) * sizeof(float));
  }
}

int32_t activation_format(DType) {
  return 0;
}

void matmul(const MatmulArgs& args) {
  const PackedMatrix& w = *args.w;
  const DTypeInfo& info = kDTypeInfo[static_cast<int>(w.dtype)];
  const size_t bytes_per_row = row_bytes(w.dtype, w.cols);
  const auto* x = static_cast<const float*>(args.x);
  float chunk[kChunk];
  for (int32_t r = args.row_begin; r < args.row_end; ++r) {
    const auto* row = static_cast<const uint8_t*>(w.data) +
                      static_cast<size_t>(r / kRowTile) * w.row_tile_bytes +
                      static_cast<size_t>(r % kRowTile) * bytes_per_row;
    for (int32_t t = 0; t < args.n_tokens; ++t) {
      float& y = args.y[t * args.y_stride + r];
      y = (args.accumulate ? y : 0.0f) + (args.bias != nullptr ? args.bias[r] : 0.0f);
    }
    for (int32_t c = 0; c < w.cols; c += kChunk) {
      const int32_t n = w.cols - c < kChunk ? w.cols - c : kChunk;
      dequantize(w.dtype, row + c / info.block_elements * info.block_bytes, n, chunk);
      for (int32_t t = 0; t < args.n_tokens; ++t) {
        args.y[t * args.y_stride + r] += dot(chunk, x + static_cast<int64_t>(t) * w.cols + c, n);
      }
    }
  }
}

// -- attention ----------------------------------------------------------------------------------------------

// Scratch: one page of K and of V as floats, the scores of one query head, and the running maximum and sum of
// every query head of a query block.
size_t attention_scratch_bytes(int32_t group, int32_t head_dim, int32_t page_tokens) {
  const auto floats = static_cast<size_t>(page_tokens) * static_cast<size_t>(2 * head_dim + 1) +
                      2 * kQueryBlock * static_cast<size_t>(group);
  return round_up_64(floats * sizeof(float));
}

// The first n_tokens of a page as floats.
void to_float(const void* page, KvType type, int32_t n_tokens, int32_t page_tokens, int32_t head_dim,
              float* out) {
  if (type == KvType::kF16) {
    const auto* half = static_cast<const uint16_t*>(page);
    for (int32_t i = 0; i < n_tokens * head_dim; ++i) out[i] = half_to_float(half[i]);
    return;
  }
  const auto* bytes = static_cast<const int8_t*>(page);
  const auto* scales = reinterpret_cast<const float*>(bytes + page_tokens * head_dim);
  for (int32_t i = 0; i < n_tokens * head_dim; ++i) out[i] = scales[i / head_dim] * bytes[i];
}

// Takes `n_keys` more keys into the online softmax of one query head: *max and *sum are its running maximum
// and sum of exponentials, `out` its weighted sum of values so far.
void attend(const float* q, const float* k, const float* v, int32_t n_keys, int32_t head_dim, float scale,
            float* scores, float* max, float* sum, float* out) {
  float new_max = *max;
  for (int32_t j = 0; j < n_keys; ++j) {
    scores[j] = scale * dot(q, k + j * head_dim, head_dim);
    if (scores[j] > new_max) new_max = scores[j];
  }
  const float shrink = std::exp(*max - new_max);  // 0 for the first keys, where *max is -inf
  *max = new_max;
  *sum *= shrink;
  for (int32_t d = 0; d < head_dim; ++d) out[d] *= shrink;
  for (int32_t j = 0; j < n_keys; ++j) {
    const float p = std::exp(scores[j] - new_max);
    *sum += p;
    for (int32_t d = 0; d < head_dim; ++d) out[d] += p * v[j * head_dim + d];
  }
}

void page_mean(const void* page, KvType type, int32_t page_tokens, int32_t head_dim, float* mean) {
  for (int32_t d = 0; d < head_dim; ++d) mean[d] = 0.0f;
  const auto* halves = static_cast<const uint16_t*>(page);
  const auto* bytes = static_cast<const int8_t*>(page);
  const auto* scales = reinterpret_cast<const float*>(bytes + page_tokens * head_dim);
  for (int32_t j = 0; j < page_tokens; ++j) {
    for (int32_t d = 0; d < head_dim; ++d) {
      const int32_t i = j * head_dim + d;
      mean[d] += type == KvType::kF16 ? half_to_float(halves[i]) : scales[j] * bytes[i];
    }
  }
  for (int32_t d = 0; d < head_dim; ++d) mean[d] /= static_cast<float>(page_tokens);
}

void dots(const float* x, const float* rows, int32_t n_rows, int32_t n, float* out) {
  for (int32_t r = 0; r < n_rows; ++r) out[r] = dot(x, rows + static_cast<int64_t>(r) * n, n);
}

const float* queries_of(const AttentionArgs& args, int32_t page) {
  return page >= args.intra_page ? args.q : page >= args.succ_page ? args.q_succ : args.q_inter;
}

void attention(const AttentionArgs& args) {
  const int32_t head_dim = args.head_dim;
  const int32_t page = args.page_tokens;
  auto* k = static_cast<float*>(args.scratch);
  float* v = k + page * head_dim;
  float* scores = v + page * head_dim;
  float* max = scores + page;  // [kQueryBlock, group]
  float* sum = max + kQueryBlock * args.group;
  for (int32_t begin = 0; begin < args.n_queries; begin += kQueryBlock) {
    const int32_t end = args.n_queries - begin < kQueryBlock ? args.n_queries : begin + kQueryBlock;
    for (int32_t i = begin; i < end; ++i) {
      std::memset(args.out + i * args.out_stride, 0,
                  static_cast<size_t>(args.group * head_dim) * sizeof(float));
    }
    for (int32_t h = 0; h < (end - begin) * args.group; ++h) {
      max[h] = -std::numeric_limits<float>::infinity();
      sum[h] = 0.0f;
    }
    const int32_t n_keys = args.first_position + end;  // keys that the last query of the block sees
    const int32_t n_pages = args.pages != nullptr ? args.n_pages : (n_keys + page - 1) / page;
    for (int32_t p = 0; p < n_pages; ++p) {
      const int32_t first_key = (args.pages != nullptr ? args.pages[p] : p) * page;
      if (first_key >= n_keys) break;
      const int32_t in_page = n_keys - first_key < page ? n_keys - first_key : page;
      to_float(args.k_pages[first_key / page], args.k_type, in_page, page, head_dim, k);
      to_float(args.v_pages[first_key / page], args.v_type, in_page, page, head_dim, v);
      const float* q = queries_of(args, first_key / page);
      for (int32_t i = begin; i < end; ++i) {
        const int32_t visible = args.first_position + i + 1 - first_key;
        if (visible <= 0) continue;
        for (int32_t g = 0; g < args.group; ++g) {
          const int32_t h = (i - begin) * args.group + g;
          attend(q + i * args.q_stride + g * head_dim, k, v, visible < in_page ? visible : in_page, head_dim,
                 args.scale, scores, &max[h], &sum[h], args.out + i * args.out_stride + g * head_dim);
        }
      }
    }
    for (int32_t i = begin; i < end; ++i) {
      for (int32_t g = 0; g < args.group; ++g) {
        float* out = args.out + i * args.out_stride + g * head_dim;
        const int32_t h = (i - begin) * args.group + g;
        const float inverse = 1.0f / sum[h];
        if (args.log_sum_exp != nullptr) args.log_sum_exp[i * args.group + g] = max[h] + std::log(sum[h]);
        for (int32_t d = 0; d < head_dim; ++d) out[d] *= inverse;
      }
    }
  }
}

// -- the rest -----------------------------------------------------------------------------------------------

void rmsnorm(const float* x, const float* weight, int32_t n, float eps, float* out) {
  const float scale = 1.0f / std::sqrt(dot(x, x, n) / static_cast<float>(n) + eps);
  for (int32_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

void rope(float* x, const float* cos_sin, int32_t n_heads, int32_t head_dim) {
  const int32_t half = head_dim / 2;
  for (int32_t h = 0; h < n_heads; ++h, x += head_dim) {
    for (int32_t i = 0; i < half; ++i) {
      const float cos = cos_sin[i], sin = cos_sin[half + i];
      const float a = x[i], b = x[half + i];
      x[i] = a * cos - b * sin;
      x[half + i] = b * cos + a * sin;
    }
  }
}

void silu_mul(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) gate[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void add(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void add_scaled(float* x, const float* y, float scale, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += scale * y[i];
}

void to_half(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = float_to_half(x[i]);
}

void to_int8(const float* x, int64_t n, int8_t* out, float* scale) {
  float largest = 0.0f, poison = 0.0f;  // 0 or NaN
  for (int64_t i = 0; i < n; ++i) {
    largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
    poison += x[i] * 0.0f;
  }
  const bool nothing = largest < kSmallestKv;
  *scale = (nothing ? 0.0f : largest / 127.0f) + poison;
  const float inverse = nothing ? 0.0f : 127.0f / largest;
  for (int64_t i = 0; i < n; ++i) {
    out[i] = poison == 0.0f ? static_cast<int8_t>(std::lrint(x[i] * inverse)) : int8_t{0};
  }
}

float softmax(float* x, int64_t n) {
  float max = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < n; ++i) max = x[i] > max ? x[i] : max;
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    x[i] = std::exp(x[i] - max);
    sum += x[i];
  }
  const auto inverse = static_cast<float>(1.0 / sum);
  for (int64_t i = 0; i < n; ++i) x[i] *= inverse;
  return max + static_cast<float>(std::log(sum));
}

}  // namespace

constinit const KernelTable kGenericKernels = {
    .name = "generic",
    .required_features = 0,
    .numerics = "generic",
    .row_tile_bytes = row_tile_bytes,
    .pack = pack,
    .activation_bytes = activation_bytes,
    .quantize = quantize,
    .activation_format = activation_format,
    .matmul = matmul,
    .attention_scratch_bytes = attention_scratch_bytes,
    .attention = attention,
    .page_mean = page_mean,
    .dots = dots,
    .rmsnorm = rmsnorm,
    .rope = rope,
    .silu_mul = silu_mul,
    .add = add,
    .add_scaled = add_scaled,
    .to_half = to_half,
    .to_int8 = to_int8,
    .softmax = softmax,
};

}  // namespace lectern
