#include "apps/server/stores.h"

#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "apps/server/http.h"
#include "apps/server/ids.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "retrieval/extract.h"

namespace lectern::server {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFilenameBytes = 255;
constexpr uint64_t kMaxContentBytes = uint64_t{64} << 20;
constexpr auto kOrphanAge = std::chrono::hours(1);  // another server may be about to refer to a younger one
constexpr int kWriterTries = 150;                   // while another process writes to the collection
constexpr const char* kExtension = ".lectern";

const fs::path& made(const fs::path& folder) {
  std::error_code error;
  for (const fs::path& path : {folder / "files", folder / "stores"}) {
    fs::create_directories(path, error);
    if (error) throw Error(ErrorCode::kIo, path.string() + ": " + error.message());
  }
  return folder;
}

// The extension tells the format: kept when it is a plain one.
std::string plain_extension(const std::string& filename) {
  std::string extension = fs::path(filename).extension().string();
  if (extension.size() < 2 || extension.size() > 12) return "";
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return extension.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789", 1) == std::string::npos
             ? extension
             : "";
}

std::string_view error_code_of(ErrorCode code) {
  if (code == ErrorCode::kUnsupported) return "unsupported_file";
  return code == ErrorCode::kCorrupt || code == ErrorCode::kResourceExhausted ? "invalid_file"
                                                                              : "server_error";
}

}  // namespace

std::string clean_filename(std::string_view name) {
  if (const size_t slash = name.find_last_of("/\\"); slash != std::string_view::npos)
    name.remove_prefix(slash + 1);
  std::string clean;
  for (const char c : utf8::repair(name))
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) clean += c;
  if (clean.size() > kMaxFilenameBytes) {
    const std::string extension = plain_extension(clean);
    clean = std::string(utf8::prefix(clean, kMaxFilenameBytes - extension.size())) + extension;
  }
  return clean.empty() || clean == "." || clean == ".." ? "file" : clean;
}

Stores::Stores(fs::path folder) : folder_(made(folder)), catalog_(folder_ / "catalog.db") {
  remove_orphans();
}

void Stores::remove_orphans() {
  std::error_code error;
  const auto is_old = [&](const fs::directory_entry& entry) {
    const auto time = entry.last_write_time(error);
    return !error && fs::file_time_type::clock::now() - time > kOrphanAge;
  };
  for (const auto& entry : fs::directory_iterator(folder_ / "files", error))
    if (!catalog_.is_content_used(entry.path().filename().string()) && is_old(entry))
      fs::remove(entry.path(), error);
  for (const auto& entry : fs::directory_iterator(folder_ / "stores", error)) {
    if (entry.path().extension() != kExtension || catalog_.store(entry.path().stem().string()) ||
        !is_old(entry))
      continue;
    try {
      delete_collection(entry.path());
    } catch (const Error&) {
      // In use: the next start tries again.
    }
  }
}

FileRecord Stores::upload(const std::string& filename, const std::string& purpose, std::string_view bytes) {
  FileRecord file;
  file.id = new_id("file-");
  file.filename = clean_filename(filename);
  file.purpose = purpose;
  file.content = sha256_hex(bytes) + plain_extension(file.filename);
  file.bytes = bytes.size();
  file.created = unix_time();
  const std::lock_guard lock(content_mutex_);
  const fs::path path = folder_ / "files" / file.content;
  std::error_code error;
  const bool is_new = !fs::exists(path, error);
  if (is_new) write_file_atomically(path, bytes);
  try {
    catalog_.add_file(file);
  } catch (...) {
    if (is_new) fs::remove(path, error);
    throw;
  }
  return file;
}

std::string Stores::content(const FileRecord& file) const {
  return read_file(folder_ / "files" / file.content, kMaxContentBytes);
}

std::optional<std::vector<std::string>> Stores::remove_file(const std::string& id) {
  const std::lock_guard lock(content_mutex_);
  const auto file = catalog_.file(id);
  if (!file) return std::nullopt;
  auto stores = catalog_.remove_file(id);
  std::error_code error;
  if (stores && !catalog_.is_content_used(file->content))
    fs::remove(folder_ / "files" / file->content, error);
  return stores;
}

fs::path Stores::database(const std::string& store) const {
  return folder_ / "stores" / (store + kExtension);
}

void Stores::read_one(const StoreFile& file, Collection& collection, const CancelToken& cancel) {
  const fs::path path = folder_ / "files" / file.file.content;
  try {
    Document document = extract_file(path, {}, cancel);
    // A document without a title of its own is called as its client calls it.
    if (document.title == path.stem().string()) document.title = fs::path(file.file.filename).stem().string();
    collection.add(file.path, document);
    catalog_.set_status(file.store, file.file.id, "completed");
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled || error.code() == ErrorCode::kUnavailable) throw;
    std::string why = error.what();
    const std::string hidden = path.string();  // where files lie is nothing for clients
    for (size_t at = why.find(hidden); at != std::string::npos; at = why.find(hidden))
      why.replace(at, hidden.size(), file.file.filename);
    collection.remove(file.path);
    catalog_.set_status(file.store, file.file.id, "failed", std::string(error_code_of(error.code())), why);
  }
}

void Stores::sync(const std::string& store, Collection& collection, const ProgressFn& progress,
                  const CancelToken& cancel) {
  const auto patiently = [&](const auto& change) {
    for (int tries = 0;; ++tries) {
      try {
        return change();
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kUnavailable || tries >= kWriterTries) throw;
        cancel.throw_if_cancelled();
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
      }
    }
  };
  const std::vector<StoreFile> files = catalog_.store_files(store);
  std::set<std::string> kept;
  for (const StoreFile& file : files)
    if (file.status == "completed" || file.status == "in_progress") kept.insert(file.path);
  for (const DocumentInfo& document : collection.documents())
    if (!kept.contains(document.path)) patiently([&] { return collection.remove(document.path); });
  Progress done;
  done.stage = "reading";
  done.items_total = files.size();
  for (const StoreFile& file : files) {
    cancel.throw_if_cancelled();
    // It may have been taken out in the meantime.
    const auto now = file.status == "in_progress" ? catalog_.store_file(store, file.file.id) : std::nullopt;
    if (now && now->status == "in_progress") {
      patiently([&] {
        read_one(*now, collection, cancel);
        return 0;
      });
    }
    ++done.items_done;
    done.item = file.file.filename;
    if (progress) progress(done);
  }
}

}  // namespace lectern::server
