// Activations to 8 bits, a scale for every 32 or 256 of a token, with the sums that take back the weights'
// offsets and minima. Layout: avx2_layout.h.
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_layout.h"
#include "kernels/cpu/avx2_math.h"

namespace lectern::avx2 {
namespace {

template <int kVectors>
LECTERN_ALWAYS_INLINE float largest_magnitude(const float* x) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 max = _mm256_setzero_ps();
  for (int i = 0; i < kVectors; ++i) {
    max = _mm256_max_ps(max, _mm256_and_ps(magnitude, _mm256_loadu_ps(x + 8 * i)));
  }
  return max_of(max);
}

// 32 floats times `inverse`, rounded to nearest even, as bytes.
LECTERN_ALWAYS_INLINE __m256i round_to_bytes(const float* x, __m256 inverse) {
  __m256i q[4];
  for (int i = 0; i < 4; ++i) {
    q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(inverse, _mm256_loadu_ps(x + 8 * i)));
  }
  // The packs work within 128-bit halves; the permutation puts the groups of four back in order.
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

struct Sums {
  int32_t low, high;  // of bytes 0..15 and 16..31
};

LECTERN_ALWAYS_INLINE Sums sum_halves(__m256i bytes) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
  __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  sums = _mm256_hadd_epi32(sums, sums);
  sums = _mm256_hadd_epi32(sums, sums);
  return {_mm256_extract_epi32(sums, 0), _mm256_extract_epi32(sums, 4)};
}

// Where one token's part of a block lies.
struct Place {
  uint8_t* block;
  int m;  // tokens of the tile
  int t;  // the token within it
};

void quantize_32(const float* x, const Place& place) {
  const float max = largest_magnitude<4>(x);
  const __m256i bytes = round_to_bytes(x, _mm256_set1_ps(max > 0.0f ? 127.0f / max : 0.0f));
  store(place.block + place.t * 32, bytes);
  const Sums sums = sum_halves(bytes);
  uint8_t* after_quants = place.block + place.m * 32;
  reinterpret_cast<float*>(after_quants)[place.t] = max / 127.0f;
  reinterpret_cast<int32_t*>(after_quants)[place.m + place.t] = -(sums.low + sums.high);
}

void quantize_256(const float* x, const Place& place) {
  const float max = largest_magnitude<32>(x);
  const __m256 inverse = _mm256_set1_ps(max > 0.0f ? 127.0f / max : 0.0f);
  uint8_t* after_quants = place.block + place.m * 256;
  reinterpret_cast<float*>(after_quants)[place.t] = max / 127.0f;
  auto* sums_16 = reinterpret_cast<int16_t*>(after_quants + place.m * 4) + place.t * 16;
  auto* sums_32 = reinterpret_cast<int16_t*>(after_quants + place.m * 36) + place.t * 8;
  for (int b = 0; b < 8; ++b) {
    const __m256i bytes = round_to_bytes(x + b * 32, inverse);
    store(place.block + place.t * 256 + b * 32, bytes);
    const Sums sums = sum_halves(bytes);
    sums_16[2 * b] = static_cast<int16_t>(sums.low);
    sums_16[2 * b + 1] = static_cast<int16_t>(sums.high);
    sums_32[b] = static_cast<int16_t>(sums.low + sums.high);
  }
}

void copy_row(const float* x, int32_t cols, float* out) {
  int32_t c = 0;
  for (; c + 8 <= cols; c += 8) _mm256_storeu_ps(out + c, _mm256_loadu_ps(x + c));
  for (; c < cols; ++c) out[c] = x[c];
}

}  // namespace

int32_t activation_format(DType dtype) {
  return activations_of(dtype);
}

size_t activation_bytes(DType dtype, int32_t n_tokens, int32_t cols) {
  const auto n = static_cast<size_t>(n_tokens), width = static_cast<size_t>(cols);
  size_t bytes = 0;
  switch (activations_of(dtype)) {
    case kFloat:
      bytes = n * width * sizeof(float);
      break;
    case kInt8Per32:
      bytes = n * (width / 32) * kBytesPer32;
      break;
    case kInt8Per256:
      bytes = n * (width / 256) * kBytesPer256;
      break;
  }
  return (bytes + 63) / 64 * 64;
}

void quantize(DType dtype, const float* x, int64_t x_stride, int32_t n_tokens, int32_t cols,
              int32_t token_begin, int32_t token_end, void* dst) {
  const Activations format = activations_of(dtype);
  const int32_t block = format == kInt8Per32 ? 32 : 256;
  const int64_t block_bytes = format == kInt8Per32 ? kBytesPer32 : kBytesPer256;  // of one token
  for (int32_t token = token_begin; token < token_end; ++token) {
    const float* row = x + token * x_stride;
    if (format == kFloat) {
      copy_row(row, cols, static_cast<float*>(dst) + static_cast<int64_t>(token) * cols);
      continue;
    }
    const int32_t tile_begin = token - token % token_tile(cols);
    const int32_t left = n_tokens - tile_begin;
    const int m = left < token_tile(cols) ? left : token_tile(cols);
    auto* out = static_cast<uint8_t*>(dst) + tile_begin * (cols / block) * block_bytes;
    for (int32_t c = 0; c < cols; c += block, out += m * block_bytes) {
      const Place place = {out, m, token - tile_begin};
      format == kInt8Per32 ? quantize_32(row + c, place) : quantize_256(row + c, place);
    }
  }
}

}  // namespace lectern::avx2
