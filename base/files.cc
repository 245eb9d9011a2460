#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/file_descriptor.h"

namespace lectern {
namespace {

constexpr int kMaxLinks = 40;  // as Linux allows

[[noreturn]] void fail(const std::filesystem::path& path, int error) {
  throw Error(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              path.string() + ": " + std::strerror(error) +
                  (error == EACCES ? "; check the permissions of the file and its folder" : ""));
}

std::filesystem::path xdg_folder(const char* variable, const char* fallback_in_home) {
  // The specification says to ignore relative paths.
  if (const char* value = std::getenv(variable); value != nullptr && value[0] == '/')
    return std::filesystem::path(value) / "lectern";
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] != '\0')
    return std::filesystem::path(home) / fallback_in_home / "lectern";
  throw Error(ErrorCode::kNotFound, std::string("neither ") + variable +
                                        " nor HOME is set; set one to a folder that can be written");
}

}  // namespace

std::string read_file(const std::filesystem::path& path, uint64_t max_bytes) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) fail(path, errno);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) fail(path, errno);
  if (S_ISDIR(info.st_mode)) fail(path, EISDIR);
  std::string content;
  if (S_ISREG(info.st_mode))
    content.reserve(static_cast<size_t>(std::min<uint64_t>(max_bytes, static_cast<uint64_t>(info.st_size))));
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(file.fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path, errno);
    if (n == 0) return content;
    if (content.size() + static_cast<size_t>(n) > max_bytes) {
      throw Error(ErrorCode::kResourceExhausted,
                  path.string() + ": larger than the limit of " + std::to_string(max_bytes) + " bytes");
    }
    content.append(buffer, static_cast<size_t>(n));
  }
}

std::filesystem::path writable_file(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    throw Error(ErrorCode::kIo, path.string() +
                                    (S_ISDIR(info.st_mode) ? ": is a folder" : ": is no regular file") +
                                    "; name another file to write");
  }
  std::filesystem::path file = path;
  for (int links = 0; ::lstat(file.c_str(), &info) == 0 && S_ISLNK(info.st_mode); ++links) {
    std::error_code error;
    const std::filesystem::path next = std::filesystem::read_symlink(file, error);
    if (error || links == kMaxLinks) fail(path, error ? error.value() : ELOOP);
    file = file.parent_path() / next;  // an absolute link replaces all of it
  }
  return file;
}

void write_file_atomically(const std::filesystem::path& given, std::string_view content) {
  const std::filesystem::path path = writable_file(given);
  const std::filesystem::path temporary = path.string() + ".tmp" + std::to_string(::getpid());
  try {
    const FileDescriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.fd < 0) fail(path, errno);
    for (std::string_view rest = content; !rest.empty();) {
      const ssize_t n = ::write(file.fd, rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail(path, errno);
      rest.remove_prefix(static_cast<size_t>(n));
    }
    if (::fsync(file.fd) != 0) fail(path, errno);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail(path, errno);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

std::filesystem::path cache_folder() {
  return xdg_folder("XDG_CACHE_HOME", ".cache");
}
std::filesystem::path data_folder() {
  return xdg_folder("XDG_DATA_HOME", ".local/share");
}
std::filesystem::path config_folder() {
  return xdg_folder("XDG_CONFIG_HOME", ".config");
}

}  // namespace lectern
