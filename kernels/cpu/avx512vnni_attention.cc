// The AVX-512 VNNI bundle's attention: the AVX2 bundle's with vectors of sixteen, bit for bit the same.
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_attention_block.h"
#include "kernels/cpu/avx512vnni.h"

namespace lectern::avx512vnni {
namespace {

// As avx2::exp, lane for lane; 0 in the lanes that are not wanted.
LECTERN_ALWAYS_INLINE __m512 exp(__mmask16 wanted, __m512 x) {
  const __mmask16 large_enough = _mm512_mask_cmp_ps_mask(wanted, x, _mm512_set1_ps(-87.3f), _CMP_NLT_UQ);
  x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(88.0f)), _mm512_set1_ps(-87.3f));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.0f / 720.0f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(_mm512_mul_ps(p, r), r, _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  return _mm512_maskz_scalef_ps(large_enough, p, n);  // p 2^n
}

constexpr __mmask16 kAllLanes = 0xffff;
// The lanes [0, n), n < 16.
LECTERN_ALWAYS_INLINE __mmask16 lanes_below(int32_t n) {
  return static_cast<__mmask16>((1u << n) - 1);
}
LECTERN_ALWAYS_INLINE __m256 upper_half(__m512 x) {
  return _mm512_extractf32x8_ps(x, 1);
}

struct Vectors {
  using Floats = __m512;
  static constexpr int kLanes = 16, kRows = 128, kTileRows = 12;

  LECTERN_ALWAYS_INLINE static Floats load(const float* p) { return _mm512_loadu_ps(p); }
  LECTERN_ALWAYS_INLINE static void store(float* p, Floats x) { _mm512_storeu_ps(p, x); }
  LECTERN_ALWAYS_INLINE static Floats set(float x) { return _mm512_set1_ps(x); }
  LECTERN_ALWAYS_INLINE static Floats broadcast(const float* p) { return _mm512_set1_ps(*p); }
  LECTERN_ALWAYS_INLINE static Floats load_numbers(const float* p) { return load(p); }
  LECTERN_ALWAYS_INLINE static Floats load_numbers(const uint16_t* p) {
    return _mm512_cvtph_ps(avx2::load(p));
  }
  LECTERN_ALWAYS_INLINE static Floats load_numbers(const int8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(avx2::load16(p)));
  }
  LECTERN_ALWAYS_INLINE static Floats exp(Floats x) { return avx512vnni::exp(kAllLanes, x); }
  LECTERN_ALWAYS_INLINE static Floats sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
  LECTERN_ALWAYS_INLINE static Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  LECTERN_ALWAYS_INLINE static Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }

  static float largest(const float* scores, int32_t visible, float start) {
    const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
    __m512 peak = _mm512_set1_ps(start);
    int32_t j = 0;
    for (; j + kLanes <= visible; j += kLanes) peak = _mm512_max_ps(peak, load(scores + j));
    if (j < visible)
      peak = _mm512_max_ps(peak, _mm512_mask_loadu_ps(lowest, lanes_below(visible - j), scores + j));
    return avx2::max_of(_mm256_max_ps(_mm512_castps512_ps256(peak), upper_half(peak)));
  }

  // The sum has eight lanes, as the AVX2 bundle's: both halves of a vector are added to them in turn.
  static float exponentials(float* scores, int32_t visible, int32_t n_keys, float max) {
    const __m512 peak = set(max);
    __m256 total = _mm256_setzero_ps();
    const auto take = [&](int32_t j, __mmask16 lanes) __attribute__((always_inline)) {
      const __m512 weight = avx512vnni::exp(lanes, sub(load(scores + j), peak));
      store(scores + j, weight);
      total = _mm256_add_ps(total, _mm512_castps512_ps256(weight));
      total = _mm256_add_ps(total, upper_half(weight));
    };
    int32_t j = 0;
    for (; j + kLanes <= visible; j += kLanes) take(j, kAllLanes);
    if (j < visible) {
      take(j, lanes_below(visible - j));
      j += kLanes;
    }
    for (; j < n_keys; j += kLanes) store(scores + j, _mm512_setzero_ps());
    return avx2::sum_of(total);
  }
};

}  // namespace

size_t attention_scratch_bytes(int32_t group, int32_t head_dim, int32_t page_tokens) {
  return avx2::is_vectorised<Vectors>(head_dim, page_tokens)
             ? avx2::scratch_bytes<Vectors>(group, head_dim, page_tokens)
             : avx2::attention_scratch_bytes(group, head_dim, page_tokens);
}

void attention(const AttentionArgs& args) {
  if (!avx2::is_vectorised<Vectors>(args.head_dim, args.page_tokens)) return avx2::attention(args);
  avx2::attention_in_blocks<Vectors>(args);
}

}  // namespace lectern::avx512vnni
