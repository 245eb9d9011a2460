#include "engine/kv_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "engine/memory.h"

namespace lectern {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".kv";
constexpr size_t kHashDigits = 64;
// Beginnings whose problems nobody asks for.
constexpr size_t kMaxProblems = 64;
// A temporary file this old belongs to a process that was killed.
constexpr std::chrono::hours kAbandoned{1};

// Whatever else lies in the folder is left alone.
bool is_hash(std::string_view name) {
  return name.size() == kHashDigits && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

struct StoredFile {
  fs::path path;
  uint64_t bytes;
  fs::file_time_type used;
};

void remove_quietly(const fs::path& path) {
  std::error_code ignored;  // another process may have been faster
  fs::remove(path, ignored);
}

// The snapshots of a folder; abandoned temporary files are deleted on the way.
std::vector<StoredFile> list_files(const fs::path& folder) {
  std::vector<StoredFile> files;
  const auto now = fs::file_time_type::clock::now();
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!is_hash(std::string_view(name).substr(0, kHashDigits))) continue;
    const std::string_view rest = std::string_view(name).substr(kHashDigits);
    const bool temporary = rest.starts_with(std::string(kExtension) + ".tmp-");
    if (!temporary && rest != kExtension) continue;
    std::error_code gone;
    const uint64_t bytes = entry->file_size(gone);
    const fs::file_time_type used = gone ? fs::file_time_type() : entry->last_write_time(gone);
    if (gone) continue;
    if (temporary && now - used > kAbandoned) {
      remove_quietly(entry->path());
    } else if (!temporary) {
      files.push_back({entry->path(), bytes, used});
    }
  }
  return files;
}

}  // namespace

KvStoreUse kv_store_use(const fs::path& folder) {
  KvStoreUse use;
  for (const StoredFile& file : list_files(folder)) {
    ++use.files;
    use.bytes += file.bytes;
  }
  return use;
}

void clear_kv_store(const fs::path& folder) {
  for (const StoredFile& file : list_files(folder)) remove_quietly(file.path);
}

std::string make_kv_store_folder(const fs::path& folder) {
  std::error_code error;
  if (fs::create_directories(folder, error)) fs::permissions(folder, fs::perms::owner_all, error);
  if (!error && fs::is_directory(folder, error)) return "";
  return folder.string() + ": cannot be made a folder for the KV of texts" +
         (error ? ": " + error.message() : "");
}

KvStore::KvStore(const KvStoreOptions& options, Backend& backend, const ModelFingerprint& model)
    : options_(options), backend_(backend), geometry_(kv_geometry(backend, model)) {
  if (const std::string problem = make_kv_store_folder(options_.folder); !problem.empty())
    throw Error(ErrorCode::kIo, problem + "; name another folder");
}

fs::path KvStore::path_of(std::span<const int32_t> tokens) const {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(geometry_.model)));
  hash.update(std::as_bytes(std::span(&geometry_.numerics, 1)));
  hash.update(std::as_bytes(std::span(geometry_.layers)));
  hash.update(std::as_bytes(tokens));
  return options_.folder / (hash.hex_digest() + std::string(kExtension));
}

bool KvStore::contains(std::span<const int32_t> tokens) const {
  std::error_code error;
  return is_worthwhile(tokens) && fs::is_regular_file(path_of(tokens), error);
}

bool KvStore::load(std::span<const int32_t> tokens, std::span<const KvPageId> pages) {
  const fs::path path = path_of(tokens);
  try {
    const KvSnapshot snapshot(path, geometry_);
    if (!std::ranges::equal(snapshot.tokens(), tokens)) {
      throw Error(ErrorCode::kCorrupt, path.string() + ": holds other tokens than its name says");
    }
    snapshot.read(backend_, pages);
    ::futimens(snapshot.file().fd, nullptr);  // used now
    ++stats_.hits;
    return true;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kUnsupported) {
      remove_quietly(path);
      ++stats_.damaged;
    }
    // The remedy that the error names is what happens.
    const std::string why = std::string(error.what()).substr(0, std::string_view(error.what()).find(';'));
    if (error.code() != ErrorCode::kNotFound)
      note_problem(path, "what was kept of this text could not be used, it was read again (" + why + ")");
    ++stats_.misses;
    return false;
  }
}

void KvStore::store(std::span<const int32_t> tokens, std::span<const KvPageId> pages) {
  if (!is_worthwhile(tokens)) return;
  const fs::path path = path_of(tokens);
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    fs::last_write_time(path, fs::file_time_type::clock::now(), error);
    return;
  }
  try {
    if (const uint64_t bytes = kv_snapshot_bytes(geometry_, tokens.size()); !make_room(bytes)) {
      throw Error(ErrorCode::kResourceExhausted, "it takes " + describe_bytes(static_cast<double>(bytes)) +
                                                     ", and all kept texts together may have " +
                                                     describe_bytes(static_cast<double>(options_.max_bytes)));
    }
    write_kv_snapshot(path, geometry_, backend_, tokens, pages);
    ++stats_.written;
  } catch (const Error& failed) {
    note_problem(path, "this text cannot be kept: " + std::string(failed.what()));
    ++stats_.not_written;
  }
}

std::string KvStore::take_problem(std::span<const int32_t> tokens) {
  if (problems_.empty()) return {};
  const auto entry = problems_.extract(path_of(tokens));
  return entry.empty() ? std::string() : std::move(entry.mapped());
}

// A load that failed is told rather than the store after it, which then was no better.
void KvStore::note_problem(const fs::path& path, std::string problem) {
  if (problems_.size() == kMaxProblems) problems_.erase(problems_.begin());
  problems_.emplace(path, std::move(problem));
}

// Deletes what was unused for longest until `bytes` more fit; false when they never will.
bool KvStore::make_room(uint64_t bytes) {
  if (bytes > options_.max_bytes) return false;
  std::vector<StoredFile> files = list_files(options_.folder);
  uint64_t total = 0;
  for (const StoredFile& file : files) total += file.bytes;
  std::ranges::sort(files, {}, &StoredFile::used);
  for (const StoredFile& file : files) {
    if (total + bytes <= options_.max_bytes) break;
    remove_quietly(file.path);
    total -= file.bytes;
    ++stats_.evicted;
  }
  return true;
}

}  // namespace lectern
