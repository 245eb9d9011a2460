// The vectors of a tile block out of its bit planes (avx2_layout.h), for vectors of one row tile or several
// side by side. Only for ISA files.
#pragma once

#include "kernels/cpu/avx2_formats.h"
#include "kernels/cpu/avx2_math.h"

namespace lectern::avx2 {
namespace {

// Moves bit `from` of every byte to bit `to`, its neighbours with it; the caller masks.
LECTERN_ALWAYS_INLINE __m256i move_bits(__m256i v, int from, int to) {
  return from < to ? _mm256_slli_epi16(v, to - from) : from > to ? _mm256_srli_epi16(v, from - to) : v;
}
LECTERN_ALWAYS_INLINE __m256i and_bytes(__m256i v, int mask) {
  return _mm256_and_si256(v, _mm256_set1_epi8(static_cast<char>(mask)));
}
// `low` and those bits of `high` that the mask has.
LECTERN_ALWAYS_INLINE __m256i add_bits(__m256i low, __m256i high, int mask) {
#if defined(__AVX512VL__)
  const __m256i bits = _mm256_set1_epi8(static_cast<char>(mask));
  return _mm256_ternarylogic_epi32(low, high, bits, 0xf8);  // a | (b & c)
#else
  return _mm256_or_si256(low, and_bytes(high, mask));
#endif
}

#if defined(__AVX512BW__)  // in the files of that bundle
LECTERN_ALWAYS_INLINE __m512i move_bits(__m512i v, int from, int to) {
  return from < to   ? _mm512_slli_epi16(v, static_cast<unsigned>(to - from))
         : from > to ? _mm512_srli_epi16(v, static_cast<unsigned>(from - to))
                     : v;
}
LECTERN_ALWAYS_INLINE __m512i and_bytes(__m512i v, int mask) {
  return _mm512_and_si512(v, _mm512_set1_epi8(static_cast<char>(mask)));
}
LECTERN_ALWAYS_INLINE __m512i add_bits(__m512i low, __m512i high, int mask) {
  return _mm512_ternarylogic_epi32(low, high, _mm512_set1_epi8(static_cast<char>(mask)), 0xf8);
}
#endif

// The planes of one row tile.
struct FromMemory {
  const uint8_t* planes;
  LECTERN_ALWAYS_INLINE __m256i operator()(int offset) const { return load(planes + offset); }
};

// Vector i of a tile block; i is known to the compiler after unrolling. plane_at(offset) is the vector that
// begins `offset` bytes after the start of the planes.
template <typename P, typename PlaneAt>
LECTERN_ALWAYS_INLINE auto unpack_vector(const PlaneAt& plane_at, int i) {
  constexpr int kLow = P::kNibbles ? 4 : 0;
  constexpr int kAfterNibbles = P::kNibbles ? kNibblePlane : 0;
  constexpr int kAfterPairs = kAfterNibbles + (P::kHighBits >= 2 ? kTwoBitPlane : 0);
  decltype(plane_at(0)) w = {};
  if constexpr (P::kNibbles) w = and_bytes(move_bits(plane_at(i % 4 * 32), i < 4 ? 0 : 4, 0), 15);
  if constexpr (P::kHighBits >= 2) {
    const auto bits = move_bits(plane_at(kAfterNibbles + i / 4 * 32), i % 4 * 2, kLow);
    w = P::kNibbles ? add_bits(w, bits, 3 << kLow) : and_bytes(bits, 3 << kLow);
  }
  if constexpr (P::kHighBits % 2 == 1) {
    constexpr int kTop = P::kBits - 1;
    w = add_bits(w, move_bits(plane_at(kAfterPairs), i, kTop), 1 << kTop);
  }
  return w;
}

}  // namespace
}  // namespace lectern::avx2
