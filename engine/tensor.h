// Tensors as a model file lists them, before anything is known of their meaning. Views into mapped files,
// already checked to lie inside them; the file object keeps the bytes alive. Plain data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/types.h"

namespace lectern {

struct TensorView {
  DType dtype = DType::kF32;
  std::vector<uint64_t> shape;  // outermost dimension first, every one at least 1
  std::span<const std::byte> data;
};

using TensorTable = std::map<std::string, TensorView, std::less<>>;

// What limits the names and counts of every container format.
inline constexpr uint64_t kMaxTensors = 1 << 16;
inline constexpr uint64_t kMaxTensorNameBytes = 1024;
inline constexpr uint64_t kMaxTensorDimensions = 4;

// "[151936, 896]".
std::string describe_shape(std::span<const uint64_t> shape);

// Text from a file, fit for an error message: quoted, shortened, unprintable bytes as '?'.
std::string quote(std::string_view text);

// Bytes of a tensor: false when the product wraps or a row is not a whole number of blocks.
[[nodiscard]] bool tensor_bytes(DType dtype, std::span<const uint64_t> shape, uint64_t& bytes);

// The name of the type that holds most of the bytes.
std::string prevailing_type(const TensorTable& tensors);

// A tensor's place in the data section of one file.
struct TensorSpan {
  uint64_t begin;
  uint64_t end;
  std::string_view name;
};

// Throws Error(kCorrupt) when two tensors share bytes. Sorts `spans` by place.
void refuse_overlap(std::vector<TensorSpan>& spans, const std::string& origin);

}  // namespace lectern
