#include "engine/tensor.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"

namespace lectern {

std::string describe_shape(std::span<const uint64_t> shape) {
  std::string text = "[";
  for (const uint64_t n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + "]";
}

std::string quote(std::string_view text) {
  constexpr size_t kMaxShown = 80;
  std::string result = "'";
  for (const char c : text.substr(0, kMaxShown)) result += c >= ' ' && c <= '~' ? c : '?';
  return result + (text.size() > kMaxShown ? "...'" : "'");
}

bool tensor_bytes(DType dtype, std::span<const uint64_t> shape, uint64_t& bytes) {
  const DTypeInfo& info = kDTypeInfo[static_cast<int>(dtype)];
  const auto block_elements = static_cast<uint64_t>(info.block_elements);
  if (shape.empty() || shape.back() % block_elements != 0) return false;
  bytes = shape.back() / block_elements;
  for (const uint64_t n : shape.first(shape.size() - 1))
    if (!checked_mul(bytes, n, bytes)) return false;
  return checked_mul(bytes, static_cast<uint64_t>(info.block_bytes), bytes);
}

std::string prevailing_type(const TensorTable& tensors) {
  size_t bytes[kDTypeCount] = {};
  for (const auto& [name, tensor] : tensors) bytes[static_cast<int>(tensor.dtype)] += tensor.data.size();
  return kDTypeInfo[std::max_element(bytes, bytes + kDTypeCount) - bytes].name;
}

void refuse_overlap(std::vector<TensorSpan>& spans, const std::string& origin) {
  std::sort(spans.begin(), spans.end(),
            [](const TensorSpan& a, const TensorSpan& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < spans.size(); ++i) {
    if (spans[i].begin < spans[i - 1].end) {
      throw Error(ErrorCode::kCorrupt, origin + ": tensor " + quote(spans[i].name) + " begins at data byte " +
                                           std::to_string(spans[i].begin) + ", inside tensor " +
                                           quote(spans[i - 1].name));
    }
  }
}

}  // namespace lectern
