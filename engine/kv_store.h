// A folder of KV snapshots of bounded size: a beginning that was read once need not be read again, in this
// process or a later one. A file's name is the hash of the model, the rounding, the KV type and the tokens,
// so there is no index that could break, and several processes may use one folder: files appear whole, and a
// file that one process deletes stays readable to another that has it open. What fails verification is
// deleted and counts as not there; what cannot be written is not kept. Neither is an error.
//
// The folder holds what the documents say, in a form that can be turned back into text: it is readable by its
// owner only. Not thread-safe, but for contains(); the backend must outlive the store.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "engine/backend.h"
#include "engine/kv_snapshot.h"

namespace lectern {

struct KvStoreOptions {
  std::filesystem::path folder;            // made when it is not there; empty: no store
  uint64_t max_bytes = uint64_t{4} << 30;  // of all files; those unused for longest go first
  int min_tokens = 0;                      // shorter beginnings are not kept
};

struct KvStoreUse {
  int64_t files = 0;
  uint64_t bytes = 0;
};

// What a folder's snapshots take on disk; nothing of a folder that is not there.
KvStoreUse kv_store_use(const std::filesystem::path& folder);
// Deletes them, and nothing else in the folder.
void clear_kv_store(const std::filesystem::path& folder);

// Makes the folder, readable by its owner only, unless it is there. Returns why it cannot be made, or "".
std::string make_kv_store_folder(const std::filesystem::path& folder);

class KvStore {
 public:
  struct Stats {
    uint64_t hits = 0, misses = 0;
    uint64_t written = 0, not_written = 0;  // not written: too large, or the disk refused
    uint64_t evicted = 0;
    uint64_t damaged = 0;  // deleted because they failed verification
  };

  // Throws Error (kIo, kInvalidArgument) when the folder cannot be made.
  KvStore(const KvStoreOptions& options, Backend& backend, const ModelFingerprint& model);

  bool contains(std::span<const int32_t> tokens) const;
  // Reads the KV of exactly `tokens` into `pages`, which have room for it; false when it is not there, and
  // the pages hold nothing of use.
  bool load(std::span<const int32_t> tokens, std::span<const KvPageId> pages);
  // Writes the KV of `tokens`, which `pages` begin with, unless it is there.
  void store(std::span<const int32_t> tokens, std::span<const KvPageId> pages);

  // Why the newest load of exactly these tokens failed although a file was there, or why they could not be
  // stored; told once, "" when nothing went wrong.
  std::string take_problem(std::span<const int32_t> tokens);

  const Stats& stats() const { return stats_; }

 private:
  std::filesystem::path path_of(std::span<const int32_t> tokens) const;
  bool make_room(uint64_t bytes);
  bool is_worthwhile(std::span<const int32_t> tokens) const {
    return tokens.size() >= static_cast<size_t>(options_.min_tokens);
  }
  void note_problem(const std::filesystem::path& path, std::string problem);

  KvStoreOptions options_;
  Backend& backend_;
  KvGeometry geometry_;
  std::map<std::filesystem::path, std::string> problems_;  // not told yet; few
  Stats stats_;
};

}  // namespace lectern
