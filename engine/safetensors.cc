#include "engine/safetensors.h"

#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"

namespace lectern {
namespace {

// {"__metadata__": {...}, NAME: {"dtype": "BF16", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
class HeaderReader : public JsonVisitor {
 public:
  HeaderReader(std::span<const std::byte> data, const std::string& origin) : data_(data), origin_(origin) {}

  void begin(const Path& path, bool is_object) override {
    if (path.empty()) {
      if (!is_object) fail("the header is not an object");
    } else if (path[0] != "__metadata__") {
      const bool is_list = path.size() == 2 && (path[1] == "shape" || path[1] == "data_offsets");
      if (path.size() == 1 && is_object)
        entry_ = Entry{};
      else if (!is_list || is_object)
        fail(where(path) + " has a value of an unexpected kind");
    }
  }

  void scalar(const Path& path, const JsonScalar& value) override {
    if (!path.empty() && path[0] == "__metadata__") return;
    const auto* text = std::get_if<std::string_view>(&value);
    const auto* integer = std::get_if<int64_t>(&value);
    if (path.size() == 2 && path[1] == "dtype" && text != nullptr)
      entry_.dtype = to_dtype(*text, path);
    else if (path.size() == 3 && integer != nullptr && *integer >= 0)
      append(path, static_cast<uint64_t>(*integer));
    else
      fail(where(path) + " has a value of an unexpected kind");
  }

  void end(const Path& path) override {
    if (path.size() == 1 && path[0] != "__metadata__") finish(path[0]);
  }

  TensorTable take() {
    refuse_overlap(spans_, origin_);
    uint64_t expected = 0;
    for (const TensorSpan& span : spans_) {
      if (span.begin != expected)
        fail("no tensor covers the data bytes " + std::to_string(expected) + " to " +
             std::to_string(span.begin));
      expected = span.end;
    }
    if (expected != data_.size())
      fail("the tensors end at data byte " + std::to_string(expected) + ", the file at " +
           std::to_string(data_.size()));
    return std::move(tensors_);
  }

 private:
  struct Entry {
    std::optional<DType> dtype;
    std::vector<uint64_t> shape, offsets;
  };

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorCode::kCorrupt, origin_ + ": " + why);
  }

  static std::string where(const Path& path) {
    if (path.empty()) return "the header";
    return "tensor " + quote(path[0]) + (path.size() > 1 ? ", field " + quote(path[1]) : "");
  }

  DType to_dtype(std::string_view text, const Path& path) const {
    if (text == "F32") return DType::kF32;
    if (text == "F16") return DType::kF16;
    if (text == "BF16") return DType::kBF16;
    throw Error(ErrorCode::kUnsupported,
                origin_ + ": " + where(path) + " is " + quote(text) +
                    "; Lectern reads F32, F16 and BF16 folders, and quantised models "
                    "as GGUF files");
  }

  void append(const Path& path, uint64_t value) {
    const bool is_shape = path[1] == "shape";
    std::vector<uint64_t>& list = is_shape ? entry_.shape : entry_.offsets;
    if (list.size() == (is_shape ? kMaxTensorDimensions : 2)) fail(where(path) + " has too many elements");
    list.push_back(value);
  }

  void finish(const std::string& name) {
    const std::string tensor = "tensor " + quote(name);
    if (name.empty() || name.size() > kMaxTensorNameBytes) fail(tensor + " has a name of impossible length");
    if (tensors_.size() == kMaxTensors) fail("more than " + std::to_string(kMaxTensors) + " tensors");
    if (!entry_.dtype || entry_.shape.empty() || entry_.offsets.size() != 2)
      fail(tensor + " lacks a dtype, a shape or two data_offsets");
    const uint64_t begin = entry_.offsets[0], end = entry_.offsets[1];
    if (begin > end || end > data_.size())
      fail(tensor + " lies at data bytes " + std::to_string(begin) + " to " + std::to_string(end) + ", but " +
           std::to_string(data_.size()) + " are there");
    uint64_t bytes = 0;
    if (!tensor_bytes(*entry_.dtype, entry_.shape, bytes) || bytes == 0 || bytes != end - begin)
      fail(tensor + " takes " + std::to_string(end - begin) + " bytes, which is not what its shape " +
           describe_shape(entry_.shape) + " and type " + kDTypeInfo[static_cast<int>(*entry_.dtype)].name +
           " need");
    const auto [entry, is_new] = tensors_.emplace(
        name, TensorView{*entry_.dtype, std::move(entry_.shape), data_.subspan(begin, end - begin)});
    if (!is_new) fail(tensor + " appears twice");
    spans_.push_back({begin, end, entry->first});
  }

  std::span<const std::byte> data_;
  const std::string& origin_;
  Entry entry_;
  TensorTable tensors_;
  std::vector<TensorSpan> spans_;
};

}  // namespace

TensorTable read_safetensors(std::span<const std::byte> bytes, const std::string& origin) {
  ByteReader reader(bytes, origin);
  const auto header_bytes = reader.read<uint64_t>("header length");
  if (header_bytes > kMaxSafetensorsHeaderBytes)
    reader.fail("header length", "is " + std::to_string(header_bytes) + "; this is no safetensors file");
  const std::span<const std::byte> header = reader.take(header_bytes, "header");
  HeaderReader visitor(bytes.subspan(reader.offset()), origin);
  visit_json({reinterpret_cast<const char*>(header.data()), header.size()}, origin, visitor);
  return visitor.take();
}

}  // namespace lectern
