#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/file_descriptor.h"

namespace lectern {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, ErrorCode code, const std::string& why) {
  throw Error(code, path.string() + ": " + why);
}

// The remedy where the system's own words have none.
const char* advice(int error) {
  return error == EACCES || error == EPERM ? "; check the permissions of the file and its folder" : "";
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) {
    const int error = errno;
    fail(path, error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
         std::string(std::strerror(error)) + advice(error));
  }
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) fail(path, ErrorCode::kIo, std::strerror(errno));
  if (!S_ISREG(info.st_mode))
    fail(path, ErrorCode::kInvalidArgument, "is not a regular file; give the path of one");
  if (info.st_size == 0) fail(path, ErrorCode::kCorrupt, "is empty");
  const auto size = static_cast<size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data == MAP_FAILED)
    fail(path, ErrorCode::kIo, std::string("cannot be mapped: ") + std::strerror(errno));
  data_ = static_cast<const std::byte*>(data);
  size_ = size;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::release_pages(size_t offset, size_t count) const noexcept {
  constexpr size_t kPage = 4096;
  const size_t begin = (offset + kPage - 1) / kPage * kPage;
  const size_t end = (offset + count) / kPage * kPage;
  if (begin < end && end <= size_)
    ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace lectern
