// A file mapped read-only into memory. Movable; the mapping lives as long as the object. Safe to read from
// any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace lectern {

class MappedFile {
 public:
  MappedFile() = default;
  // Throws Error (kNotFound, kIo) with the path; an empty or special file is refused as kCorrupt.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Tells the kernel that the range was used up, so that its pages need not stay resident.
  void release_pages(size_t offset, size_t count) const noexcept;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace lectern
