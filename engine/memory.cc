#include "engine/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <utility>

#include "base/error.h"
#include "engine/control_group.h"

namespace lectern {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

// The number after `wanted` in a file of lines "KEY NUMBER ...".
int64_t read_field(const char* path, const std::string& wanted) {
  std::ifstream file(path);
  std::string key, rest;
  int64_t value = 0;
  while (file >> key >> value) {
    if (key == wanted) return value;
    std::getline(file, rest);
  }
  return kUnknown;
}

}  // namespace

AnonymousMemory::AnonymousMemory(size_t bytes, const std::string& purpose) : size_(bytes) {
  if (bytes == 0) return;
  void* data =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    throw Error(ErrorCode::kResourceExhausted, "the system has no " +
                                                   describe_bytes(static_cast<double>(bytes)) + " for " +
                                                   purpose + "; close other programs or use a smaller model");
  }
  data_ = static_cast<std::byte*>(data);
#ifdef MADV_HUGEPAGE
  ::madvise(data, bytes, MADV_HUGEPAGE);  // fewer TLB misses; only a hint
#endif
}

AnonymousMemory::~AnonymousMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

AnonymousMemory::AnonymousMemory(AnonymousMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AnonymousMemory& AnonymousMemory::operator=(AnonymousMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

int64_t available_memory_bytes() {
  const int64_t kilobytes = read_field("/proc/meminfo", "MemAvailable:");
  const int64_t available = kilobytes == kUnknown ? kUnknown : kilobytes * 1024;
  return std::min(available, control_group_memory_bytes());
}

std::string describe_bytes(double bytes) {
  const char* const units[] = {"bytes", "kB", "MB", "GB", "TB"};
  int unit = 0;
  while (bytes >= 1000 && unit < 4) {
    bytes /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text;
}

}  // namespace lectern
