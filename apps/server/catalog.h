// What clients have uploaded and what they made of it: one small SQLite database with the names of files, the
// vector stores, and which file is in which store and how far it is. The truth that everything else is
// brought in line with (stores.h). Thread-safe; other processes may use the same database.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace lectern {
class Connection;
class Statement;
}  // namespace lectern

namespace lectern::server {

inline constexpr size_t kMaxFiles = 10'000;  // uploaded, and in one store
inline constexpr uint64_t kMaxAllFileBytes = uint64_t{8} << 30;
inline constexpr size_t kMaxStores = 256;

struct FileRecord {
  std::string id, filename, purpose;
  std::string content;  // the name of the stored bytes
  uint64_t bytes = 0;
  int64_t created = 0;  // seconds since 1970, as everywhere here
};

struct StoreRecord {
  std::string id, name;
  Json metadata = Json::object();
  int64_t created = 0, active = 0;
};

// A file in a store.
struct StoreFile {
  std::string store;
  FileRecord file;
  std::string path;  // of its document in the store's collection
  Json attributes = Json::object();
  std::string batch;  // "" none
  int64_t created = 0;
  std::string status;  // in_progress, completed, failed, cancelled
  std::string error_code, error_message;
};

struct BatchRecord {
  std::string id, store;
  int64_t created = 0;
};

struct Attachment {
  std::string file;
  Json attributes = Json::object();
};

class Catalog {
 public:
  // Opens or creates. Throws Error that names the path.
  explicit Catalog(const std::filesystem::path& path);
  ~Catalog();

  std::vector<FileRecord> files();  // oldest first, as all lists here
  std::optional<FileRecord> file(const std::string& id);
  // Throws HttpError(400) when there are too many.
  void add_file(const FileRecord& file);
  // Also from all stores, whose ids it returns; none: there is no such file.
  std::optional<std::vector<std::string>> remove_file(const std::string& id);
  bool is_content_used(const std::string& content);

  std::vector<StoreRecord> stores();
  std::optional<StoreRecord> store(const std::string& id);
  // With files in it. Throws HttpError: 400 when there are too many, 404 for a file that is not there.
  void add_store(const StoreRecord& store, const std::vector<Attachment>& files);
  void update_store(const StoreRecord& store);
  void touch_store(const std::string& id);  // it was used
  bool remove_store(const std::string& id);

  std::vector<StoreFile> store_files(const std::string& store);
  std::optional<StoreFile> store_file(const std::string& store, const std::string& file);
  // Files that are there already are read again. `batch`: not "" makes one. Throws as add_store.
  void attach(const std::string& store, const std::vector<Attachment>& files, const std::string& batch);
  bool detach(const std::string& store, const std::string& file);
  void set_attributes(const std::string& store, const std::string& file, const Json& attributes);
  void set_status(const std::string& store, const std::string& file, const std::string& status,
                  const std::string& code = {}, const std::string& message = {});
  std::optional<BatchRecord> batch(const std::string& store, const std::string& id);
  void cancel_batch(const std::string& store, const std::string& id);

 private:
  std::vector<StoreFile> read_store_files(Statement& rows);
  void attach_in_transaction(const std::string& store, const std::vector<Attachment>& files,
                             const std::string& batch);

  std::mutex mutex_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace lectern::server
