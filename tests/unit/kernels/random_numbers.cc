#include "tests/unit/kernels/random_numbers.h"

#include <cstddef>
#include <cstring>
#include <random>

#include "kernels/reference/dequantize.h"

namespace lectern {
namespace {

// Gives the block at `bytes` a sane scale (and minimum): random bytes would make infinities and NaNs.
template <typename Block>
void set_scales(uint8_t* bytes, uint16_t d, uint16_t m) {
  Block block;
  std::memcpy(&block, bytes, sizeof(block));
  block.d = d;
  if constexpr (requires { block.m; }) block.m = m;
  if constexpr (requires { block.dmin; }) block.dmin = m;
  std::memcpy(bytes, &block, sizeof(block));
}

void set_scales(DType dtype, uint8_t* bytes, uint16_t d, uint16_t m) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return;
    case DType::kQ8_0:
      return set_scales<BlockQ8_0>(bytes, d, m);
    case DType::kQ4_0:
      return set_scales<BlockQ4_0>(bytes, d, m);
    case DType::kQ4_1:
      return set_scales<BlockQ4_1>(bytes, d, m);
    case DType::kQ5_0:
      return set_scales<BlockQ5_0>(bytes, d, m);
    case DType::kQ5_1:
      return set_scales<BlockQ5_1>(bytes, d, m);
    case DType::kQ2_K:
      return set_scales<BlockQ2_K>(bytes, d, m);
    case DType::kQ3_K:
      return set_scales<BlockQ3_K>(bytes, d, m);
    case DType::kQ4_K:
      return set_scales<BlockQ4_K>(bytes, d, m);
    case DType::kQ5_K:
      return set_scales<BlockQ5_K>(bytes, d, m);
    case DType::kQ6_K:
      return set_scales<BlockQ6_K>(bytes, d, m);
    case DType::kIQ4_NL:
      return set_scales<BlockIQ4_NL>(bytes, d, m);
    case DType::kIQ4_XS:
      return set_scales<BlockIQ4_XS>(bytes, d, m);
  }
}

}  // namespace

std::vector<uint8_t> random_weights(DType dtype, int32_t rows, int32_t cols, uint32_t seed) {
  const DTypeInfo& info = info_of(dtype);
  const size_t n_blocks =
      static_cast<size_t>(rows) * static_cast<size_t>(cols) / static_cast<size_t>(info.block_elements);
  const auto block_bytes = static_cast<size_t>(info.block_bytes);
  std::vector<uint8_t> bytes(n_blocks * block_bytes);
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> byte(0, 255);
  std::uniform_real_distribution<float> scale(-0.02f, 0.02f);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(byte(random));
  for (size_t i = 0; i < n_blocks; ++i) {
    uint8_t* block = bytes.data() + i * block_bytes;
    const float value = 50.0f * scale(random);
    if (dtype == DType::kF32) {
      std::memcpy(block, &value, sizeof(value));
    } else if (dtype == DType::kF16 || dtype == DType::kBF16) {
      uint32_t bits;
      std::memcpy(&bits, &value, sizeof(bits));
      const uint16_t half = dtype == DType::kF16 ? float_to_half(value) : static_cast<uint16_t>(bits >> 16);
      std::memcpy(block, &half, sizeof(half));
    } else {
      set_scales(dtype, block, float_to_half(scale(random)), float_to_half(scale(random)));
    }
  }
  return bytes;
}

std::vector<uint8_t> extreme_weights(DType dtype, int32_t rows, int32_t cols, uint8_t byte, uint32_t seed) {
  const DTypeInfo& info = info_of(dtype);
  const auto block_bytes = static_cast<size_t>(info.block_bytes);
  const size_t n_blocks =
      static_cast<size_t>(rows) * static_cast<size_t>(cols) / static_cast<size_t>(info.block_elements);
  std::vector<uint8_t> bytes(n_blocks * block_bytes, byte);
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> scale(-0.02f, 0.02f);
  for (size_t i = 0; i < n_blocks; ++i) {
    set_scales(dtype, bytes.data() + i * block_bytes, float_to_half(scale(random)),
               float_to_half(scale(random)));
  }
  return bytes;
}

std::vector<float> random_floats(size_t n, uint32_t seed, float scale) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<float> exact_activations(int32_t n_tokens, int32_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> quant(-127, 127);
  std::vector<float> x(static_cast<size_t>(n_tokens) * static_cast<size_t>(cols));
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i % static_cast<size_t>(cols);
    x[i] = static_cast<float>(c % 32 == (c / 32) % 32 ? (c % 2 == 0 ? 127 : -127) : quant(random)) / 64.0f;
  }
  return x;
}

}  // namespace lectern
