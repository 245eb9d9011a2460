// The GGUF container, versions 2 and 3, little-endian: metadata by key and tensors by name. Knows nothing of
// models. Reads from memory and keeps views into it, so the bytes must outlive the object. Every count,
// length and offset is checked against the bytes that are there before it is used; nothing is allocated in
// proportion to a number that the file merely claims. Immutable after construction; safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace lectern {

enum class GgufType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

struct GgufValue {
  GgufType type = GgufType::kUint8;
  GgufType element_type = GgufType::kUint8;  // of an array
  uint64_t count = 1;                        // elements of an array
  uint64_t offset = 0;                       // of the value in the file
  std::span<const std::byte> bytes;          // the scalar, the characters, or the elements
};

class GgufFile {
 public:
  // `origin` names the file in errors. Throws Error(kCorrupt, kUnsupported).
  GgufFile(std::span<const std::byte> bytes, std::string origin);

  const std::string& origin() const { return origin_; }
  const TensorTable& tensors() const { return tensors_; }
  bool has(std::string_view key) const { return metadata_.find(key) != metadata_.end(); }

  // The value of a key. Each throws Error(kCorrupt) that names the key and its offset when the key is missing
  // or holds another kind of value; those with a fallback only for the latter.
  int64_t integer(std::string_view key) const;  // any integer type
  int64_t integer_or(std::string_view key, int64_t fallback) const;
  double real(std::string_view key) const;
  double real_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string_view string(std::string_view key) const;
  std::string_view string_or(std::string_view key, std::string_view fallback) const;
  // Arrays; one of more than `max_count` elements is refused before anything is allocated.
  std::vector<std::string_view> strings(std::string_view key, uint64_t max_count) const;
  std::vector<int64_t> integers(std::string_view key, uint64_t max_count) const;

 private:
  const GgufValue& get(std::string_view key) const;
  const GgufValue& get_array(std::string_view key, uint64_t max_count) const;
  [[noreturn]] void wrong_type(std::string_view key, const GgufValue& value, const char* expected) const;

  std::string origin_;
  std::map<std::string_view, GgufValue> metadata_;
  TensorTable tensors_;
};

}  // namespace lectern
