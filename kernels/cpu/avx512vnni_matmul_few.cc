// Up to four tokens, as in decoding: a row tile is read once, as a single stream, and its quants go from
// their planes into vpdpbusd without a detour. 256 bits are wide enough: memory is the limit. The same
// integers and the same order of roundings as in the AVX2 bundle.
#include "kernels/cpu/avx2_tile.h"
#include "kernels/cpu/avx512vnni.h"

namespace lectern::avx512vnni {
namespace {

using avx2::Activations256;
using avx2::Activations32;
using avx2::broadcast4;
using avx2::kBytesPer256;
using avx2::kBytesPer32;
using avx2::kHalves;
using avx2::load_halves;
using avx2::Quants;

LECTERN_ALWAYS_INLINE __m256 broadcast_float(const uint8_t* p) {
  return _mm256_castsi256_ps(broadcast4(p));
}

// Vector i of a tile block of 8 rows, unsigned.
template <typename F>
LECTERN_ALWAYS_INLINE __m256i unsigned_vector(const uint8_t* planes, int i) {
  return avx2::unpack_vector<F>(avx2::FromMemory{planes}, i);
}
template <typename F>
LECTERN_ALWAYS_INLINE __m256i biased_vector(const uint8_t* planes, int i) {
  const __m256i bias = _mm256_set1_epi8(-128);
  if constexpr (F::kQuants == Quants::kSigned) {
    return _mm256_xor_si256(avx2::load(planes + i * 32), bias);
  } else if constexpr (F::kQuants == Quants::kTable) {
    const __m256i values = _mm256_broadcastsi128_si256(avx2::load16(avx2::kIQ4Values));
    const __m256i indices = unsigned_vector<avx2::Planes<true, 0>>(planes, i);
    return _mm256_shuffle_epi8(_mm256_xor_si256(values, bias), indices);
  } else {
    return unsigned_vector<F>(planes, i);
  }
}

// sums[t] += the vectors [begin, end) of 8 rows times token t; token t's 32 bytes at q + t * q_stride.
// vector(i): vector i, unsigned.
template <int T, int begin, int end, typename Vector>
LECTERN_ALWAYS_INLINE void dot_vectors(const Vector& vector, const uint8_t* q, int64_t q_stride,
                                       __m256i sums[T]) {
  // A single chain of products would wait for each other where there are few tokens.
  __m256i others[T];
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) others[t] = _mm256_setzero_si256();
  LECTERN_UNROLL
  for (int i = begin; i < end; i += 2) {
    const __m256i w = vector(i), v = vector(i + 1);
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      const uint8_t* a = q + t * q_stride + i * 4;
      sums[t] = _mm256_dpbusd_epi32(sums[t], w, broadcast4(a));
      others[t] = _mm256_dpbusd_epi32(others[t], v, broadcast4(a + 4));
    }
  }
  LECTERN_UNROLL
  for (int t = 0; t < T; ++t) sums[t] = _mm256_add_epi32(sums[t], others[t]);
}

// -- weights in blocks of 32 --------------------------------------------------------------------------------

template <typename F>
struct Blocks {
  // What the unsigned quants lie above the values that they stand for.
  static constexpr int kOffset = F::kQuants == Quants::kUnsigned ? F::kOffset : 128;
  static constexpr int kColumns = 32;
  static constexpr int kActivationBytes = kBytesPer32;
  static constexpr int kBytes = F::kBlockBytes;

  // totals[t] += the block times token t of T.
  template <int T>
  static LECTERN_ALWAYS_INLINE void multiply(const uint8_t* block, const uint8_t* x, __m256 totals[T]) {
    const Activations32 activations(x, T);
    __m256i sums[T];
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      sums[t] = _mm256_setzero_si256();
      if constexpr (kOffset != 0) {
        sums[t] = _mm256_slli_epi32(broadcast4(activations.negated_sums + t * 4), avx2::log2(kOffset));
      }
    }
    const auto vector = [block](int i) __attribute__((always_inline)) {
      return biased_vector<F>(block + F::kPlanesAt, i);
    };
    dot_vectors<T, 0, 8>(vector, activations.quants, 32, sums);
    const __m256 scale = F::kFloatScale ? _mm256_castsi256_ps(avx2::load(block)) : load_halves(block);
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      const __m256 x_scale = broadcast_float(activations.scales + t * 4);
      totals[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[t]), _mm256_mul_ps(scale, x_scale), totals[t]);
      if constexpr (F::kMinimum) {
        const __m256i x_sum = broadcast4(activations.negated_sums + t * 4);
        totals[t] = _mm256_fnmadd_ps(load_halves(block + kHalves),
                                     _mm256_mul_ps(x_scale, _mm256_cvtepi32_ps(x_sum)), totals[t]);
      }
    }
  }
};

// -- weights in super-blocks of 256 -------------------------------------------------------------------------

template <typename F>
struct SuperBlocks {
  static constexpr int kColumns = 256;
  static constexpr int kActivationBytes = kBytesPer256;
  static constexpr int kBytes = F::kSuperBlockBytes;
  static constexpr int kPart = 8 / F::kScales;  // vectors that share a scale

  // Scale k of tile block b, as 32-bit integers.
  static LECTERN_ALWAYS_INLINE __m256i scale_of(const uint8_t* super_block, int b, int k) {
    const uint8_t* scales = super_block + F::kScalesAt;
    if constexpr (F::kScales == 1) {  // unsigned, 8 rows
      return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales + b * 8)));
    } else {  // signed pairs of 8 rows (unsigned ones are below 16)
      const __m256i pair = _mm256_cvtepi8_epi16(avx2::load16(scales + b * 16));
      return _mm256_srai_epi32(k == 0 ? _mm256_slli_epi32(pair, 16) : pair, 16);
    }
  }
  // The 16-bit pairs that meet the i-th pair of sums of activations: minima, or where the quants carry an
  // offset the scales.
  static LECTERN_ALWAYS_INLINE __m256i pairs_of(const uint8_t* super_block, int i) {
    if constexpr (F::kMinima) return _mm256_cvtepu8_epi16(avx2::load16(super_block + F::kMinimaAt + i * 16));
    return _mm256_cvtepi8_epi16(avx2::load16(super_block + F::kScalesAt + i * 16));
  }

  // totals[t] += the super-block times token t of T.
  template <int T>
  static LECTERN_ALWAYS_INLINE void multiply(const uint8_t* super_block, const uint8_t* x, __m256 totals[T]) {
    const Activations256 activations(x, T);
    __m256i sums[T], corrections[T];
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) sums[t] = corrections[t] = _mm256_setzero_si256();
    for (int b = 0; b < 8; ++b) {
      const auto vector = [planes = super_block + F::kPlanesAt + b * F::kBytes](int i)
          __attribute__((always_inline)) {
        return unsigned_vector<F>(planes, i);
      };
      LECTERN_UNROLL
      for (int k = 0; k < F::kScales; ++k) {
        __m256i part[T];
        LECTERN_UNROLL
        for (int t = 0; t < T; ++t) part[t] = _mm256_setzero_si256();
        const uint8_t* q = activations.quants + b * 32;
        if (k == 0) {
          dot_vectors<T, 0, kPart>(vector, q, 256, part);
        } else {
          dot_vectors<T, 8 - kPart, 8>(vector, q, 256, part);
        }
        const __m256i scale = scale_of(super_block, b, k);
        LECTERN_UNROLL
        for (int t = 0; t < T; ++t) sums[t] = _mm256_add_epi32(sums[t], _mm256_mullo_epi32(part[t], scale));
      }
    }
    LECTERN_UNROLL
    for (int i = 0; i < 4 * F::kScales; ++i) {
      const __m256i pairs = pairs_of(super_block, i);
      LECTERN_UNROLL
      for (int t = 0; t < T; ++t) {
        const __m256i pair = broadcast4(activations.pair_sums<F>(t) + i * 4);
        corrections[t] = _mm256_dpwssd_epi32(corrections[t], pairs, pair);
      }
    }
    const __m256 d = load_halves(super_block);
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) {
      __m256 product;
      if constexpr (F::kMinima) {
        product = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[t]), d);
        product =
            _mm256_fnmadd_ps(_mm256_cvtepi32_ps(corrections[t]), load_halves(super_block + kHalves), product);
      } else {
        const __m256i offset = _mm256_slli_epi32(corrections[t], avx2::log2(F::kOffset));
        product = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(sums[t], offset)), d);
      }
      totals[t] = _mm256_fmadd_ps(product, broadcast_float(activations.scales + t * 4), totals[t]);
    }
  }
};

// -- the order of the work ----------------------------------------------------------------------------------

// Bytes ahead at which memory is asked for weights: 2,048 and 8,192 decoded 2 to 6 % slower.
constexpr int64_t kAhead = 4096;

template <typename Format, int T>
void row_tiles(const MatmulArgs& args) {
  const PackedMatrix& w = *args.w;
  for (int32_t row = args.row_begin; row < args.row_end; row += kRowTile) {
    const auto* src =
        static_cast<const uint8_t*>(w.data) + static_cast<size_t>(row / kRowTile) * w.row_tile_bytes;
    const auto* x = static_cast<const uint8_t*>(args.x);
    __m256 totals[T];
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) totals[t] = _mm256_setzero_ps();
    for (int32_t c = 0; c < w.cols; c += Format::kColumns) {
      avx2::prefetch<Format::kBytes>(src + kAhead);
      Format::template multiply<T>(src, x, totals);
      src += Format::kBytes;
      x += T * Format::kActivationBytes;
    }
    alignas(32) float out[T * 8];
    LECTERN_UNROLL
    for (int t = 0; t < T; ++t) _mm256_store_ps(out + t * 8, totals[t]);
    avx2::write_out<8>(args, 0, row, T, out);
  }
}

template <typename Format>
void for_tokens(const MatmulArgs& args) {
  static_assert(avx2::kFewTokens == 4);
  switch (args.n_tokens) {
    case 1:
      return row_tiles<Format, 1>(args);
    case 2:
      return row_tiles<Format, 2>(args);
    case 3:
      return row_tiles<Format, 3>(args);
    case 4:
      return row_tiles<Format, 4>(args);
  }  // 0: nothing to do
}

}  // namespace

void matmul_few(const MatmulArgs& args) {
  switch (args.w->dtype) {
    case DType::kQ8_0:
      return for_tokens<Blocks<avx2::Q8_0>>(args);
    case DType::kQ4_0:
      return for_tokens<Blocks<avx2::Q4_0>>(args);
    case DType::kQ4_1:
      return for_tokens<Blocks<avx2::Q4_1>>(args);
    case DType::kQ5_0:
      return for_tokens<Blocks<avx2::Q5_0>>(args);
    case DType::kQ5_1:
      return for_tokens<Blocks<avx2::Q5_1>>(args);
    case DType::kIQ4_NL:
      return for_tokens<Blocks<avx2::IQ4_NL>>(args);
    case DType::kIQ4_XS:
      return for_tokens<Blocks<avx2::IQ4_XS>>(args);
    case DType::kQ2_K:
      return for_tokens<SuperBlocks<avx2::Q2_K>>(args);
    case DType::kQ3_K:
      return for_tokens<SuperBlocks<avx2::Q3_K>>(args);
    case DType::kQ4_K:
      return for_tokens<SuperBlocks<avx2::Q4_K>>(args);
    case DType::kQ5_K:
      return for_tokens<SuperBlocks<avx2::Q5_K>>(args);
    default:
      return for_tokens<SuperBlocks<avx2::Q6_K>>(args);
  }
}

}  // namespace lectern::avx512vnni
