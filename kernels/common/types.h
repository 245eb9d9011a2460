// Number formats as they lie in model files, as plain data. The block layouts are those of the GGUF format
// (public specification of ggml's quantisations); all fields little-endian.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lectern {

enum class DType : int32_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
};
inline constexpr int kDTypeCount = 15;

// Blocks of 32 weights. `d` and `m` are IEEE half precision: w = d*q + m (or d*(q - offset) where there is no
// m).
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];  // low nibbles: weights 0..15, high nibbles: 16..31; offset 8
};
struct BlockQ4_1 {
  uint16_t d, m;
  uint8_t qs[16];
};
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];  // fifth bits, weight i in bit i
  uint8_t qs[16];
};
struct BlockQ5_1 {
  uint16_t d, m;
  uint8_t qh[4];
  uint8_t qs[16];
};

// Super-blocks of 256 weights.
struct BlockQ2_K {
  uint8_t scales[16];  // 4 bits scale, 4 bits minimum, per 16 weights
  uint8_t qs[64];
  uint16_t d, dmin;
};
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];  // 6 bits a scale, per 16 weights
  uint16_t d;
};
struct BlockQ4_K {
  uint16_t d, dmin;
  uint8_t scales[12];  // 6 bits scale and 6 bits minimum, per 32 weights
  uint8_t qs[128];
};
struct BlockQ5_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];  // per 16 weights
  uint16_t d;
};
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t qs[16];  // indices into a table of 16 values
};
struct BlockIQ4_XS {
  uint16_t d, scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};

static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20);
static_assert(sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockIQ4_NL) == 18 && sizeof(BlockIQ4_XS) == 136);

// How a page of the KV cache holds the keys, or the values, of one KV head.
//   kF16:  [page_tokens, head_dim] IEEE half precision
//   kInt8: [page_tokens, head_dim] signed bytes, then [page_tokens] float scales: x = scale of the token *
//   byte
enum class KvType : uint8_t { kF16, kInt8 };
inline constexpr const char* kKvTypeNames[] = {"f16", "int8"};  // indexed by KvType

struct DTypeInfo {
  const char* name;
  int32_t block_elements;
  int32_t block_bytes;
};

// Indexed by DType. A static table rather than a function, so that ISA files may read it without emitting
// code.
inline constexpr DTypeInfo kDTypeInfo[kDTypeCount] = {
    {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},     {"Q8_0", 32, 34},   {"Q4_0", 32, 18},
    {"Q4_1", 32, 20},   {"Q5_0", 32, 22},   {"Q5_1", 32, 24},   {"Q2_K", 256, 84},  {"Q3_K", 256, 110},
    {"Q4_K", 256, 144}, {"Q5_K", 256, 176}, {"Q6_K", 256, 210}, {"IQ4_NL", 32, 18}, {"IQ4_XS", 256, 136},
};

}  // namespace lectern
