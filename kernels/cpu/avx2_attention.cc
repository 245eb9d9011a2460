// The AVX2 bundle's attention, and what else reads keys.
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_attention_block.h"
#include "kernels/cpu/bundles.h"

namespace lectern::avx2 {
namespace {

struct Vectors {
  using Floats = __m256;
  static constexpr int kLanes = 8, kRows = 64, kTileRows = 6;

  LECTERN_ALWAYS_INLINE static Floats load(const float* p) { return _mm256_loadu_ps(p); }
  LECTERN_ALWAYS_INLINE static void store(float* p, Floats x) { _mm256_storeu_ps(p, x); }
  LECTERN_ALWAYS_INLINE static Floats set(float x) { return _mm256_set1_ps(x); }
  LECTERN_ALWAYS_INLINE static Floats broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  LECTERN_ALWAYS_INLINE static Floats load_numbers(const float* p) { return load(p); }
  LECTERN_ALWAYS_INLINE static Floats load_numbers(const uint16_t* p) { return load_eight(p); }
  LECTERN_ALWAYS_INLINE static Floats load_numbers(const int8_t* p) { return load_eight(p); }
  LECTERN_ALWAYS_INLINE static Floats exp(Floats x) { return avx2::exp(x); }
  LECTERN_ALWAYS_INLINE static Floats sub(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
  LECTERN_ALWAYS_INLINE static Floats mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  LECTERN_ALWAYS_INLINE static Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }

  static float largest(const float* scores, int32_t visible, float start) {
    const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
    __m256 peak = _mm256_set1_ps(start);
    for (int32_t j = 0; j < visible; j += 8) {
      const __m256 lanes = _mm256_castsi256_ps(lanes_below(visible - j));
      peak = _mm256_max_ps(peak, _mm256_blendv_ps(lowest, _mm256_loadu_ps(scores + j), lanes));
    }
    return max_of(peak);
  }

  static float exponentials(float* scores, int32_t visible, int32_t n_keys, float max) {
    const __m256 peak = _mm256_set1_ps(max);
    __m256 total = _mm256_setzero_ps();
    int32_t j = 0;
    for (; j < visible; j += 8) {
      const __m256 lanes = _mm256_castsi256_ps(lanes_below(visible - j));
      const __m256 weight = _mm256_and_ps(lanes, avx2::exp(_mm256_sub_ps(_mm256_loadu_ps(scores + j), peak)));
      _mm256_storeu_ps(scores + j, weight);
      total = _mm256_add_ps(total, weight);
    }
    for (; j < n_keys; j += 8) _mm256_storeu_ps(scores + j, _mm256_setzero_ps());
    return sum_of(total);
  }
};

}  // namespace

size_t attention_scratch_bytes(int32_t group, int32_t head_dim, int32_t page_tokens) {
  return is_vectorised<Vectors>(head_dim, page_tokens)
             ? scratch_bytes<Vectors>(group, head_dim, page_tokens)
             : kGenericKernels.attention_scratch_bytes(group, head_dim, page_tokens);
}

void attention(const AttentionArgs& args) {
  if (!is_vectorised<Vectors>(args.head_dim, args.page_tokens)) return kGenericKernels.attention(args);
  attention_in_blocks<Vectors>(args);
}

template <typename Number>
void sum_keys(const Number* keys, const float* scales, int32_t n_keys, int32_t head_dim, float* mean) {
  const __m256 share = _mm256_set1_ps(1.0f / static_cast<float>(n_keys));
  for (int32_t d = 0; d < head_dim; d += 8) {
    __m256 sum = _mm256_setzero_ps();
    for (int32_t j = 0; j < n_keys; ++j) {
      const __m256 key = load_eight(keys + j * head_dim + d);
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
