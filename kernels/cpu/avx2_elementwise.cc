// Everything of a layer that is neither a matrix product nor attention.
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_math.h"

namespace lectern::avx2 {
namespace {

LECTERN_ALWAYS_INLINE __m256 load_below(const float* p, __m256i lanes) {
  return _mm256_maskload_ps(p, lanes);
}

LECTERN_ALWAYS_INLINE __m256 silu(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  return _mm256_div_ps(x, _mm256_add_ps(one, exp(_mm256_sub_ps(_mm256_setzero_ps(), x))));
}

}  // namespace

void rmsnorm(const float* x, const float* weight, int32_t n, float eps, float* out) {
  __m256 squares[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  int32_t i = 0;
  for (; i + 32 <= n; i += 32) {
    for (int k = 0; k < 4; ++k) {
      const __m256 v = _mm256_loadu_ps(x + i + 8 * k);
      squares[k] = _mm256_fmadd_ps(v, v, squares[k]);
    }
  }
  for (; i < n; i += 8) {
    const __m256 v = load_below(x + i, lanes_below(n - i));
    squares[0] = _mm256_fmadd_ps(v, v, squares[0]);
  }
  const float sum =
      sum_of(_mm256_add_ps(_mm256_add_ps(squares[0], squares[1]), _mm256_add_ps(squares[2], squares[3])));
  const float root = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(sum / static_cast<float>(n) + eps)));
  const __m256 scale = _mm256_set1_ps(1.0f / root);
  for (i = 0; i < n; i += 8) {
    const __m256i lanes = lanes_below(n - i);
    const __m256 v = _mm256_mul_ps(load_below(x + i, lanes), scale);
    _mm256_maskstore_ps(out + i, lanes, _mm256_mul_ps(v, load_below(weight + i, lanes)));
  }
}

void rope(float* x, const float* cos_sin, int32_t n_heads, int32_t head_dim) {
  const int32_t half = head_dim / 2;
  for (int32_t h = 0; h < n_heads; ++h, x += head_dim) {
    for (int32_t i = 0; i < half; i += 8) {
      const __m256i lanes = lanes_below(half - i);
      const __m256 cos = load_below(cos_sin + i, lanes), sin = load_below(cos_sin + half + i, lanes);
      const __m256 a = load_below(x + i, lanes), b = load_below(x + half + i, lanes);
      _mm256_maskstore_ps(x + i, lanes, _mm256_fmsub_ps(a, cos, _mm256_mul_ps(b, sin)));
      _mm256_maskstore_ps(x + half + i, lanes, _mm256_fmadd_ps(b, cos, _mm256_mul_ps(a, sin)));
    }
  }
}

void silu_mul(float* gate, const float* up, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(gate + i, _mm256_mul_ps(silu(_mm256_loadu_ps(gate + i)), _mm256_loadu_ps(up + i)));
  }
  if (i < n) {
    const __m256i lanes = lanes_below(n - i);
    const __m256 product = _mm256_mul_ps(silu(load_below(gate + i, lanes)), load_below(up + i, lanes));
    _mm256_maskstore_ps(gate + i, lanes, product);
  }
}

void add(float* x, const float* y, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  }
  for (; i < n; ++i) x[i] += y[i];
}

void add_scaled(float* x, const float* y, float scale, int64_t n) {
  const __m256 factor = _mm256_set1_ps(scale);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(x + i, _mm256_fmadd_ps(factor, _mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
  }
  for (; i < n; ++i) x[i] = __builtin_fmaf(scale, y[i], x[i]);
}

void to_half(const float* x, int64_t n, uint16_t* out) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), halves);
  }
  // Not _cvtss_sh, which Clang's header makes of an expression that is not C++.
  for (; i < n; ++i)
    out[i] =
        static_cast<uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(x[i]), _MM_FROUND_TO_NEAREST_INT)));
}

void to_int8(const float* x, int64_t n, int8_t* out, float* scale) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 largest = _mm256_setzero_ps(), poison = _mm256_setzero_ps();  // poison: 0 or NaN
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 v = load_below(x + i, lanes_below(n - i < 8 ? n - i : 8));
    largest = _mm256_max_ps(_mm256_and_ps(v, magnitude), largest);  // the second operand where one is NaN
    poison = _mm256_fmadd_ps(v, _mm256_setzero_ps(), poison);
  }
  const float peak = max_of(largest);
  const bool nothing = peak < 1e-30f;  // 127 / peak must stay finite
  *scale = (nothing ? 0.0f : peak / 127.0f) + sum_of(poison);
  const __m256 inverse = _mm256_set1_ps(nothing ? 0.0f : 127.0f / peak);
  for (int64_t i = 0; i < n; i += 8) {
    const __m256 v = load_below(x + i, lanes_below(n - i < 8 ? n - i : 8));
    const __m256i words = _mm256_cvtps_epi32(_mm256_mul_ps(v, inverse));
    const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    const __m128i bytes = _mm_packs_epi16(halves, halves);
    if (i + 8 <= n) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i), bytes);
    } else {
      int8_t rest[16];
      _mm_storeu_si128(reinterpret_cast<__m128i*>(rest), bytes);
      for (int64_t k = 0; i + k < n; ++k) out[i + k] = rest[k];
    }
  }
}

float softmax(float* x, int64_t n) {
  const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
  __m256 max = lowest;
  for (int64_t i = 0; i < n; i += 8) {
    const __m256i lanes = lanes_below(n - i < 8 ? n - i : 8);
    max = _mm256_max_ps(max, _mm256_blendv_ps(lowest, load_below(x + i, lanes), _mm256_castsi256_ps(lanes)));
  }
  const float peak = max_of(max);
  // Four sums, so that each is short enough to keep its precision over a vocabulary.
  __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  for (int64_t i = 0; i < n; i += 8) {
    const __m256i lanes = lanes_below(n - i < 8 ? n - i : 8);
    __m256 v = exp(_mm256_sub_ps(load_below(x + i, lanes), _mm256_set1_ps(peak)));
    v = _mm256_and_ps(v, _mm256_castsi256_ps(lanes));
    _mm256_maskstore_ps(x + i, lanes, v);
    sums[i / 8 % 4] = _mm256_add_ps(sums[i / 8 % 4], v);
  }
  const float sum = sum_of(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
  const __m256 inverse = _mm256_set1_ps(1.0f / sum);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), inverse));
  for (; i < n; ++i) x[i] *= _mm256_cvtss_f32(inverse);
  return peak + log_of(sum);
}

}  // namespace lectern::avx2
