// Owns an open POSIX file descriptor.
#pragma once

#include <unistd.h>

namespace lectern {

struct FileDescriptor {
  int fd = -1;

  explicit FileDescriptor(int descriptor) : fd(descriptor) {}
  ~FileDescriptor() {
    if (fd >= 0) ::close(fd);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
};

}  // namespace lectern
