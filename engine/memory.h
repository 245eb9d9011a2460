// Large zeroed memory straight from the operating system, and how much of it there is. A reservation costs
// nothing until its pages are written to. Movable, not copyable; safe to use from any thread like plain
// memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace lectern {

class AnonymousMemory {
 public:
  AnonymousMemory() = default;
  // `purpose` ("the KV cache") is named by the Error(kResourceExhausted) thrown when the system refuses.
  AnonymousMemory(size_t bytes, const std::string& purpose);
  ~AnonymousMemory();
  AnonymousMemory(AnonymousMemory&& other) noexcept;
  AnonymousMemory& operator=(AnonymousMemory&& other) noexcept;
  AnonymousMemory(const AnonymousMemory&) = delete;
  AnonymousMemory& operator=(const AnonymousMemory&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// What this process may still use without swapping: the system's estimate, or what its control groups leave.
// Where neither is known, the largest value.
int64_t available_memory_bytes();

// "1.2 GB", for messages.
std::string describe_bytes(double bytes);

}  // namespace lectern
