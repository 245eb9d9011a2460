// A bounds-checked reader of little-endian binary data. Every read names the field it reads, so that an error
// on hostile data says what was wrong and where. Not thread-safe; does not own the bytes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace lectern {

static_assert(std::endian::native == std::endian::little, "file formats are read as they lie in memory");

class ByteReader {
 public:
  // `origin` names the data in errors, such as a file's path.
  ByteReader(std::span<const std::byte> bytes, std::string origin)
      : bytes_(bytes), origin_(std::move(origin)) {}

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }
  const std::string& origin() const { return origin_; }

  template <typename T>
  T read(std::string_view field) {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, take(sizeof(T), field).data(), sizeof(T));
    return value;
  }

  // The next `count` bytes, without copying.
  std::span<const std::byte> take(uint64_t count, std::string_view field) {
    if (count > remaining())
      fail(field, "needs " + std::to_string(count) + " bytes, " + std::to_string(remaining()) + " are left");
    auto result = bytes_.subspan(offset_, static_cast<size_t>(count));
    offset_ += static_cast<size_t>(count);
    return result;
  }

  // A count that announces entries of at least `min_entry_bytes` each: refused when the file cannot hold
  // them.
  uint64_t read_count(std::string_view field, uint64_t min_entry_bytes) {
    const ByteReader before = *this;  // an error names the place of the count, not the one after it
    const auto count = read<uint64_t>(field);
    if (count > remaining() / min_entry_bytes)
      before.fail(field, "announces " + std::to_string(count) + " entries, more than the file can hold");
    return count;
  }

  [[noreturn]] void fail(std::string_view field, const std::string& why) const {
    throw Error(ErrorCode::kCorrupt,
                origin_ + ": " + std::string(field) + " at byte " + std::to_string(offset_) + " " + why);
  }

 private:
  std::span<const std::byte> bytes_;
  std::string origin_;
  size_t offset_ = 0;
};

// a*b and a+b that refuse to wrap: false when the result does not fit.
[[nodiscard]] inline bool checked_mul(uint64_t a, uint64_t b, uint64_t& out) {
  return !__builtin_mul_overflow(a, b, &out);
}
[[nodiscard]] inline bool checked_add(uint64_t a, uint64_t b, uint64_t& out) {
  return !__builtin_add_overflow(a, b, &out);
}

}  // namespace lectern
