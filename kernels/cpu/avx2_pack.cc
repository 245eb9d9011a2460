// Weights of the model file into the layout of avx2_layout.h. Runs once, at load; plain C++ for the baseline
// instruction set. Every quant and scale keeps its exact value.
#include <cstring>

#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx2_layout.h"
#include "kernels/reference/dequantize.h"

namespace lectern::avx2 {
namespace {

// A block of one row, taken apart: up to 256 unsigned quants (signed bytes for the 8-bit formats) with the
// bits of the planes, half-precision d and m, and a scale and minimum for every 16 or 32 of them.
struct Block {
  uint8_t quants[256];
  uint16_t d = 0, m = 0;
  float scale = 0.0f;  // IQ4_XS only: the scale of the 32 quants in hand
  uint8_t scales[16], minima[16];
};

template <typename Source>
Source load(const uint8_t* bytes) {
  Source source;
  std::memcpy(&source, bytes, sizeof(source));
  return source;
}

// -- blocks of 32 -------------------------------------------------------------------------------------------

void take_nibbles(const uint8_t* qs, uint8_t* quants) {
  for (int i = 0; i < 16; ++i) {
    quants[i] = qs[i] & 15;
    quants[i + 16] = qs[i] >> 4;
  }
}

void take_fifth_bits(const uint8_t* qh, uint8_t* quants) {
  for (int i = 0; i < 32; ++i) quants[i] |= static_cast<uint8_t>(((qh[i / 8] >> (i % 8)) & 1) << 4);
}

void decode_block(DType dtype, const uint8_t* bytes, Block& block) {
  switch (dtype) {
    case DType::kQ8_0: {
      const auto source = load<BlockQ8_0>(bytes);
      block.d = source.d;
      std::memcpy(block.quants, source.qs, 32);
      return;
    }
    case DType::kQ4_1: {
      const auto source = load<BlockQ4_1>(bytes);
      block.d = source.d;
      block.m = source.m;
      return take_nibbles(source.qs, block.quants);
    }
    case DType::kQ5_0: {
      const auto source = load<BlockQ5_0>(bytes);
      block.d = source.d;
      take_nibbles(source.qs, block.quants);
      return take_fifth_bits(source.qh, block.quants);
    }
    case DType::kQ5_1: {
      const auto source = load<BlockQ5_1>(bytes);
      block.d = source.d;
      block.m = source.m;
      take_nibbles(source.qs, block.quants);
      return take_fifth_bits(source.qh, block.quants);
    }
    default: {  // Q4_0 and IQ4_NL lie alike
      const auto source = load<BlockQ4_0>(bytes);
      block.d = source.d;
      return take_nibbles(source.qs, block.quants);
    }
  }
}

// One 32nd of a super-block as if it were a block of its own.
void decode_iq4_xs(const uint8_t* bytes, int sub_block, Block& block) {
  const auto source = load<BlockIQ4_XS>(bytes);
  const int low = (source.scales_l[sub_block / 2] >> (sub_block % 2 * 4)) & 15;
  const int high = (source.scales_h >> (sub_block * 2)) & 3;
  block.scale = half_to_float(source.d) * static_cast<float>((low | high << 4) - 32);
  take_nibbles(source.qs + sub_block * 16, block.quants);
}

// -- super-blocks of 256 ------------------------------------------------------------------------------------

// Two bits of every quant of Q2_K and Q3_K: each half of the super-block has 32 bytes, bit pair i/32 of byte
// i%32 belongs to quant i of the half.
void take_two_bits(const uint8_t* qs, uint8_t* quants) {
  for (int half = 0; half < 2; ++half) {
    for (int pair = 0; pair < 4; ++pair) {
      for (int i = 0; i < 32; ++i) quants[half * 128 + pair * 32 + i] = (qs[half * 32 + i] >> (pair * 2)) & 3;
    }
  }
}

// Sub-blocks 2c and 2c+1 of Q4_K and Q5_K are the low and high nibbles of the c-th 32 bytes.
void take_nibbles_k(const uint8_t* qs, uint8_t* quants) {
  for (int c = 0; c < 4; ++c) {
    for (int i = 0; i < 32; ++i) {
      quants[c * 64 + i] = qs[c * 32 + i] & 15;
      quants[c * 64 + 32 + i] = qs[c * 32 + i] >> 4;
    }
  }
}

// Eight 6-bit scales and minima in 12 bytes.
void take_scales_k(const uint8_t* packed, Block& block) {
  for (int j = 0; j < 4; ++j) {
    block.scales[j] = packed[j] & 63;
    block.minima[j] = packed[j + 4] & 63;
    block.scales[j + 4] = static_cast<uint8_t>((packed[j + 8] & 15) | (packed[j] >> 6) << 4);
    block.minima[j + 4] = static_cast<uint8_t>((packed[j + 8] >> 4) | (packed[j + 4] >> 6) << 4);
  }
}

void decode_q2_k(const uint8_t* bytes, Block& block) {
  const auto source = load<BlockQ2_K>(bytes);
  block.d = source.d;
  block.m = source.dmin;
  for (int j = 0; j < 16; ++j) {
    block.scales[j] = source.scales[j] & 15;
    block.minima[j] = source.scales[j] >> 4;
  }
  take_two_bits(source.qs, block.quants);
}

void decode_q3_k(const uint8_t* bytes, Block& block) {
  const auto source = load<BlockQ3_K>(bytes);
  block.d = source.d;
  for (int j = 0; j < 16; ++j) {
    const int low = j < 8 ? source.scales[j] & 15 : source.scales[j - 8] >> 4;
    const int high = (source.scales[8 + j % 4] >> (j / 4 * 2)) & 3;
    block.scales[j] = static_cast<uint8_t>((low | high << 4) - 32);  // signed, as a byte
  }
  take_two_bits(source.qs, block.quants);
  for (int i = 0; i < 256; ++i) {
    block.quants[i] |= static_cast<uint8_t>(((source.hmask[i % 32] >> (i / 32)) & 1) << 2);
  }
}

void decode_q4_k(const uint8_t* bytes, Block& block) {
  const auto source = load<BlockQ4_K>(bytes);
  block.d = source.d;
  block.m = source.dmin;
  take_scales_k(source.scales, block);
  take_nibbles_k(source.qs, block.quants);
}

void decode_q5_k(const uint8_t* bytes, Block& block) {
  const auto source = load<BlockQ5_K>(bytes);
  block.d = source.d;
  block.m = source.dmin;
  take_scales_k(source.scales, block);
  take_nibbles_k(source.qs, block.quants);
  for (int j = 0; j < 8; ++j) {
    for (int i = 0; i < 32; ++i) {
      block.quants[j * 32 + i] |= static_cast<uint8_t>(((source.qh[i] >> j) & 1) << 4);
    }
  }
}

void decode_q6_k(const uint8_t* bytes, Block& block) {
  const auto source = load<BlockQ6_K>(bytes);
  block.d = source.d;
  std::memcpy(block.scales, source.scales, 16);
  for (int half = 0; half < 2; ++half) {
    uint8_t* quants = block.quants + half * 128;
    const uint8_t* ql = source.ql + half * 64;
    const uint8_t* qh = source.qh + half * 32;
    for (int i = 0; i < 32; ++i) {
      quants[i] = static_cast<uint8_t>((ql[i] & 15) | (qh[i] & 3) << 4);
      quants[i + 32] = static_cast<uint8_t>((ql[i + 32] & 15) | ((qh[i] >> 2) & 3) << 4);
      quants[i + 64] = static_cast<uint8_t>((ql[i] >> 4) | ((qh[i] >> 4) & 3) << 4);
      quants[i + 96] = static_cast<uint8_t>((ql[i + 32] >> 4) | (qh[i] >> 6) << 4);
    }
  }
}

void decode_super_block(DType dtype, const uint8_t* bytes, Block& block) {
  switch (dtype) {
    case DType::kQ2_K:
      return decode_q2_k(bytes, block);
    case DType::kQ3_K:
      return decode_q3_k(bytes, block);
    case DType::kQ4_K:
      return decode_q4_k(bytes, block);
    case DType::kQ5_K:
      return decode_q5_k(bytes, block);
    default:
      return decode_q6_k(bytes, block);
  }
}

// -- planes -------------------------------------------------------------------------------------------------

struct Planes {
  bool nibbles, two_bits, one_bit, bytes;
};

Planes planes_of(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
      return {.nibbles = false, .two_bits = false, .one_bit = false, .bytes = true};
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ5_K:
      return {.nibbles = true, .two_bits = false, .one_bit = true, .bytes = false};
    case DType::kQ6_K:
      return {.nibbles = true, .two_bits = true, .one_bit = false, .bytes = false};
    case DType::kQ2_K:
      return {.nibbles = false, .two_bits = true, .one_bit = false, .bytes = false};
    case DType::kQ3_K:
      return {.nibbles = false, .two_bits = true, .one_bit = true, .bytes = false};
    default:
      return {.nibbles = true, .two_bits = false, .one_bit = false, .bytes = false};
  }
}

// The quants of 8 rows and 32 columns, gathered into the vectors of avx2_layout.h.
struct Vectors {
  uint8_t bytes[8][32];

  void set_row(int row, const uint8_t* quants) {
    for (int i = 0; i < 8; ++i) std::memcpy(&bytes[i][row * 4], quants + i * 4, 4);
  }
};

// Writes the planes and returns where they end.
uint8_t* write_planes(Planes planes, const Vectors& vectors, uint8_t* out) {
  if (planes.bytes) {
    std::memcpy(out, vectors.bytes, kBytePlane);
    out += kBytePlane;
  }
  if (planes.nibbles) {
    for (int p = 0; p < 4; ++p, out += 32) {
      for (int j = 0; j < 32; ++j) {
        out[j] = static_cast<uint8_t>((vectors.bytes[p][j] & 15) | vectors.bytes[p + 4][j] << 4);
      }
    }
  }
  const int low_bits = planes.nibbles ? 4 : 0;
  if (planes.two_bits) {
    for (int h = 0; h < 2; ++h, out += 32) {
      for (int j = 0; j < 32; ++j) {
        int bits = 0;
        for (int s = 0; s < 4; ++s) bits |= ((vectors.bytes[4 * h + s][j] >> low_bits) & 3) << (2 * s);
        out[j] = static_cast<uint8_t>(bits);
      }
    }
  }
  if (planes.one_bit) {
    const int position = planes.nibbles ? 4 : 2;
    for (int j = 0; j < 32; ++j) {
      int bits = 0;
      for (int i = 0; i < 8; ++i) bits |= ((vectors.bytes[i][j] >> position) & 1) << i;
      out[j] = static_cast<uint8_t>(bits);
    }
    out += 32;
  }
  return out;
}

// -- row tiles ----------------------------------------------------------------------------------------------

// Where the rows of a tile lie in the file; `present` of the kRowTile exist.
struct Rows {
  const uint8_t* first;
  size_t stride;
  int present;
};

void put_half(uint8_t* out, int row, uint16_t half) {
  std::memcpy(out + row * 2, &half, 2);
}

void pack_blocks(DType dtype, const Rows& rows, int32_t cols, uint8_t* out) {
  const DTypeInfo& info = kDTypeInfo[static_cast<int>(dtype)];
  const bool has_minimum = dtype == DType::kQ4_1 || dtype == DType::kQ5_1;
  for (int32_t b = 0; b < cols / 32; ++b) {
    Vectors vectors = {};
    std::memset(out, 0, 2 * kHalves);
    for (int r = 0; r < rows.present; ++r) {
      Block block{};
      const uint8_t* row = rows.first + static_cast<size_t>(r) * rows.stride;
      if (dtype == DType::kIQ4_XS) {
        decode_iq4_xs(row + b / 8 * info.block_bytes, b % 8, block);
        std::memcpy(out + r * 4, &block.scale, 4);
      } else {
        decode_block(dtype, row + b * info.block_bytes, block);
        put_half(out, r, block.d);
        if (has_minimum) put_half(out + kHalves, r, block.m);
      }
      vectors.set_row(r, block.quants);
    }
    out += has_minimum || dtype == DType::kIQ4_XS ? 2 * kHalves : kHalves;
    out = write_planes(planes_of(dtype), vectors, out);
  }
}

void pack_super_blocks(DType dtype, const Rows& rows, int32_t cols, uint8_t* out) {
  const DTypeInfo& info = kDTypeInfo[static_cast<int>(dtype)];
  const bool has_minimum = dtype == DType::kQ2_K || dtype == DType::kQ4_K || dtype == DType::kQ5_K;
  const bool two_scales = dtype == DType::kQ2_K || dtype == DType::kQ3_K || dtype == DType::kQ6_K;
  const int scale_bytes = two_scales ? 128 : 64;
  for (int32_t s = 0; s < cols / 256; ++s) {
    Vectors vectors[8] = {};
    uint8_t* scales = out + (has_minimum ? 2 * kHalves : kHalves);
    uint8_t* minima = scales + scale_bytes;
    uint8_t* planes = has_minimum ? minima + scale_bytes : minima;
    std::memset(out, 0, static_cast<size_t>(planes - out));
    for (int r = 0; r < rows.present; ++r) {
      Block block;
      decode_super_block(dtype, rows.first + static_cast<size_t>(r) * rows.stride + s * info.block_bytes,
                         block);
      put_half(out, r, block.d);
      if (has_minimum) put_half(out + kHalves, r, block.m);
      for (int j = 0; j < (two_scales ? 16 : 8); ++j) {
        const int pair = j / 2 * 16 + r * 2 + j % 2;
        scales[two_scales ? pair : j * 8 + r] = block.scales[j];
        if (has_minimum) minima[pair] = block.minima[j];
      }
      for (int b = 0; b < 8; ++b) vectors[b].set_row(r, block.quants + b * 32);
    }
    for (const Vectors& v : vectors) planes = write_planes(planes_of(dtype), v, planes);
    out = planes;
  }
}

template <typename Element>
void pack_floats(const Rows& rows, int32_t cols, uint8_t* out) {
  for (int32_t c = 0; c < cols; ++c, out += kRowTile * sizeof(Element)) {
    std::memset(out, 0, kRowTile * sizeof(Element));
    for (int r = 0; r < rows.present; ++r) {
      std::memcpy(
          out + static_cast<size_t>(r) * sizeof(Element),
          rows.first + static_cast<size_t>(r) * rows.stride + static_cast<size_t>(c) * sizeof(Element),
          sizeof(Element));
    }
  }
}

size_t used_tile_bytes(DType dtype, int32_t cols) {
  return static_cast<size_t>(cols / block_columns(dtype)) * tile_block_bytes(dtype);
}

}  // namespace

size_t row_tile_bytes(DType dtype, int32_t cols) {
  return (used_tile_bytes(dtype, cols) + 63) / 64 * 64;
}

void pack(DType dtype, const void* src, int32_t rows, int32_t cols, int32_t tile_begin, int32_t tile_end,
          void* dst) {
  const DTypeInfo& info = kDTypeInfo[static_cast<int>(dtype)];
  const size_t row_bytes =
      static_cast<size_t>(cols / info.block_elements) * static_cast<size_t>(info.block_bytes);
  const size_t tile_bytes = row_tile_bytes(dtype, cols);
  for (int32_t tile = tile_begin; tile < tile_end; ++tile) {
    const int32_t first = tile * kRowTile;
    const Rows tile_rows = {static_cast<const uint8_t*>(src) + static_cast<size_t>(first) * row_bytes,
                            row_bytes, rows - first < kRowTile ? rows - first : kRowTile};
    uint8_t* out = static_cast<uint8_t*>(dst) + static_cast<size_t>(tile) * tile_bytes;
    const size_t used = used_tile_bytes(dtype, cols);
    std::memset(out + used, 0, tile_bytes - used);
    if (dtype == DType::kF32) {
      pack_floats<float>(tile_rows, cols, out);
    } else if (activations_of(dtype) == kFloat) {
      pack_floats<uint16_t>(tile_rows, cols, out);
    } else if (activations_of(dtype) == kInt8Per32) {
      pack_blocks(dtype, tile_rows, cols, out);
    } else {
      pack_super_blocks(dtype, tile_rows, cols, out);
    }
  }
}

}  // namespace lectern::avx2
