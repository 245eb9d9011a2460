#include "apps/server/catalog.h"

#include "apps/server/http.h"
#include "apps/server/ids.h"
#include "retrieval/store_sqlite.h"

namespace lectern::server {
namespace {

constexpr int64_t kFormat = 1;

constexpr const char kSchema[] = R"(
CREATE TABLE file(
  id TEXT NOT NULL UNIQUE, filename TEXT NOT NULL, purpose TEXT NOT NULL, content TEXT NOT NULL,
  bytes INTEGER NOT NULL, created INTEGER NOT NULL);
CREATE INDEX file_content ON file(content);
CREATE TABLE store(
  id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, metadata TEXT NOT NULL, created INTEGER NOT NULL,
  active INTEGER NOT NULL);
CREATE TABLE store_file(
  store TEXT NOT NULL REFERENCES store(id) ON DELETE CASCADE, file TEXT NOT NULL REFERENCES file(id) ON DELETE CASCADE,
  path TEXT NOT NULL, attributes TEXT NOT NULL, batch TEXT NOT NULL, created INTEGER NOT NULL, status TEXT NOT NULL,
  code TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '', UNIQUE(store, file), UNIQUE(store, path));
CREATE INDEX store_file_file ON store_file(file);
CREATE TABLE batch(
  id TEXT NOT NULL UNIQUE, store TEXT NOT NULL REFERENCES store(id) ON DELETE CASCADE, created INTEGER NOT NULL);
PRAGMA user_version = 1;
)";

FileRecord read_file_row(const Statement& row, int at) {
  return {row.text(at),
          row.text(at + 1),
          row.text(at + 2),
          row.text(at + 3),
          static_cast<uint64_t>(row.integer(at + 4)),
          row.integer(at + 5)};
}

StoreRecord read_store_row(const Statement& row) {
  return {row.text(0), row.text(1), parse_json(row.text(2), "the metadata of a vector store"), row.integer(3),
          row.integer(4)};
}

// The name of a document that no other of the store has: "x.md", then "x (2).md".
std::string numbered(const std::string& filename, int64_t n) {
  if (n < 2) return filename;
  const std::filesystem::path name(filename);
  return name.stem().string() + " (" + std::to_string(n) + ")" + name.extension().string();
}

[[noreturn]] void too_many(const std::string& what, const char* field) {
  throw HttpError(400, "there are too many " + what + "; delete some that are not needed", "limit_exceeded",
                  field);
}

}  // namespace

Catalog::Catalog(const std::filesystem::path& path)
    : connection_(std::make_unique<Connection>(path, Connection::Mode::kWriter)) {
  connection_->execute("PRAGMA foreign_keys = ON");
  Transaction transaction(*connection_);
  const auto version = [&] {
    Statement row = connection_->prepare("PRAGMA user_version");
    row.step();
    return row.integer(0);
  }();
  if (version == 0) connection_->execute(kSchema);
  if (version > kFormat)
    throw Error(ErrorCode::kUnsupported, path.string() + ": was made by a newer Lectern");
  transaction.commit();
}

Catalog::~Catalog() = default;

std::vector<FileRecord> Catalog::files() {
  const std::lock_guard lock(mutex_);
  Statement rows =
      connection_->prepare("SELECT id, filename, purpose, content, bytes, created FROM file ORDER BY rowid");
  std::vector<FileRecord> files;
  while (rows.step()) files.push_back(read_file_row(rows, 0));
  return files;
}

std::optional<FileRecord> Catalog::file(const std::string& id) {
  const std::lock_guard lock(mutex_);
  Statement row =
      connection_->prepare("SELECT id, filename, purpose, content, bytes, created FROM file WHERE id = ?");
  row.bind(1, id);
  if (!row.step()) return std::nullopt;
  return read_file_row(row, 0);
}

void Catalog::add_file(const FileRecord& file) {
  const std::lock_guard lock(mutex_);
  Transaction transaction(*connection_);
  {
    Statement sums = connection_->prepare("SELECT count(*), coalesce(sum(bytes), 0) FROM file");
    sums.step();
    if (static_cast<uint64_t>(sums.integer(0)) >= kMaxFiles ||
        static_cast<uint64_t>(sums.integer(1)) + file.bytes > kMaxAllFileBytes)
      too_many("files", "file");
  }
  connection_
      ->prepare("INSERT INTO file(id, filename, purpose, content, bytes, created) VALUES(?, ?, ?, ?, ?, ?)")
      .bind(1, file.id)
      .bind(2, file.filename)
      .bind(3, file.purpose)
      .bind(4, file.content)
      .bind(5, static_cast<int64_t>(file.bytes))
      .bind(6, file.created)
      .run();
  transaction.commit();
}

std::optional<std::vector<std::string>> Catalog::remove_file(const std::string& id) {
  const std::lock_guard lock(mutex_);
  Transaction transaction(*connection_);
  std::vector<std::string> stores;
  {
    Statement known = connection_->prepare("SELECT 1 FROM file WHERE id = ?");
    known.bind(1, id);
    if (!known.step()) return std::nullopt;
    Statement rows = connection_->prepare("SELECT store FROM store_file WHERE file = ?");
    rows.bind(1, id);
    while (rows.step()) stores.push_back(rows.text(0));
  }
  connection_->prepare("DELETE FROM file WHERE id = ?").bind(1, id).run();
  transaction.commit();
  return stores;
}

bool Catalog::is_content_used(const std::string& content) {
  const std::lock_guard lock(mutex_);
  Statement row = connection_->prepare("SELECT 1 FROM file WHERE content = ?");
  row.bind(1, content);
  return row.step();
}

std::vector<StoreRecord> Catalog::stores() {
  const std::lock_guard lock(mutex_);
  Statement rows =
      connection_->prepare("SELECT id, name, metadata, created, active FROM store ORDER BY rowid");
  std::vector<StoreRecord> stores;
  while (rows.step()) stores.push_back(read_store_row(rows));
  return stores;
}

std::optional<StoreRecord> Catalog::store(const std::string& id) {
  const std::lock_guard lock(mutex_);
  Statement row = connection_->prepare("SELECT id, name, metadata, created, active FROM store WHERE id = ?");
  row.bind(1, id);
  if (!row.step()) return std::nullopt;
  return read_store_row(row);
}

void Catalog::add_store(const StoreRecord& store, const std::vector<Attachment>& files) {
  const std::lock_guard lock(mutex_);
  Transaction transaction(*connection_);
  {
    Statement sums = connection_->prepare("SELECT count(*) FROM store");
    sums.step();
    if (static_cast<uint64_t>(sums.integer(0)) >= kMaxStores) too_many("vector stores", "name");
  }
  connection_->prepare("INSERT INTO store(id, name, metadata, created, active) VALUES(?, ?, ?, ?, ?)")
      .bind(1, store.id)
      .bind(2, store.name)
      .bind(3, dump_json(store.metadata))
      .bind(4, store.created)
      .bind(5, store.active)
      .run();
  attach_in_transaction(store.id, files, "");
  transaction.commit();
}

void Catalog::update_store(const StoreRecord& store) {
  const std::lock_guard lock(mutex_);
  connection_->prepare("UPDATE store SET name = ?, metadata = ? WHERE id = ?")
      .bind(1, store.name)
      .bind(2, dump_json(store.metadata))
      .bind(3, store.id)
      .run();
}

void Catalog::touch_store(const std::string& id) {
  const std::lock_guard lock(mutex_);
  // Once a minute is enough: searches need not wait for the disk.
  connection_->prepare("UPDATE store SET active = ? WHERE id = ? AND active < ? - 60")
      .bind(1, unix_time())
      .bind(2, id)
      .bind(3, unix_time())
      .run();
}

bool Catalog::remove_store(const std::string& id) {
  const std::lock_guard lock(mutex_);
  Transaction transaction(*connection_);
  {
    Statement known = connection_->prepare("SELECT 1 FROM store WHERE id = ?");
    known.bind(1, id);
    if (!known.step()) return false;
  }
  connection_->prepare("DELETE FROM store WHERE id = ?").bind(1, id).run();
  transaction.commit();
  return true;
}

std::vector<StoreFile> Catalog::read_store_files(Statement& rows) {
  std::vector<StoreFile> files;
  while (rows.step()) {
    StoreFile file;
    file.file = read_file_row(rows, 0);
    file.store = rows.text(6);
    file.path = rows.text(7);
    file.attributes = parse_json(rows.text(8), "the attributes of a file");
    file.batch = rows.text(9);
    file.created = rows.integer(10);
    file.status = rows.text(11);
    file.error_code = rows.text(12);
    file.error_message = rows.text(13);
    files.push_back(std::move(file));
  }
  return files;
}

std::vector<StoreFile> Catalog::store_files(const std::string& store) {
  const std::lock_guard lock(mutex_);
  Statement rows = connection_->prepare(
      "SELECT f.id, f.filename, f.purpose, f.content, f.bytes, f.created, s.store, s.path, s.attributes, "
      "s.batch, "
      "s.created, s.status, s.code, s.message FROM store_file s JOIN file f ON f.id = s.file WHERE s.store = "
      "? "
      "ORDER BY s.rowid");
  rows.bind(1, store);
  return read_store_files(rows);
}

std::optional<StoreFile> Catalog::store_file(const std::string& store, const std::string& file) {
  const std::lock_guard lock(mutex_);
  Statement rows = connection_->prepare(
      "SELECT f.id, f.filename, f.purpose, f.content, f.bytes, f.created, s.store, s.path, s.attributes, "
      "s.batch, "
      "s.created, s.status, s.code, s.message FROM store_file s JOIN file f ON f.id = s.file "
      "WHERE s.store = ? AND s.file = ?");
  rows.bind(1, store).bind(2, file);
  auto files = read_store_files(rows);
  if (files.empty()) return std::nullopt;
  return std::move(files.front());
}

void Catalog::attach(const std::string& store, const std::vector<Attachment>& files,
                     const std::string& batch) {
  const std::lock_guard lock(mutex_);
  Transaction transaction(*connection_);
  if (!batch.empty())
    connection_->prepare("INSERT INTO batch(id, store, created) VALUES(?, ?, ?)")
        .bind(1, batch)
        .bind(2, store)
        .bind(3, unix_time())
        .run();
  attach_in_transaction(store, files, batch);
  transaction.commit();
}

void Catalog::attach_in_transaction(const std::string& store, const std::vector<Attachment>& files,
                                    const std::string& batch) {
  int64_t n_files = 0;
  {
    Statement count = connection_->prepare("SELECT count(*) FROM store_file WHERE store = ?");
    count.bind(1, store);
    count.step();
    n_files = count.integer(0);
  }
  for (const Attachment& attachment : files) {
    std::string filename;
    {
      Statement row = connection_->prepare("SELECT filename FROM file WHERE id = ?");
      row.bind(1, attachment.file);
      if (!row.step())
        throw HttpError(404, "there is no file \"" + attachment.file + "\"", "file_not_found", "file_id");
      filename = row.text(0);
    }
    if (++n_files > static_cast<int64_t>(kMaxFiles)) too_many("files in this vector store", "file_id");
    int64_t n = 1;
    {
      Statement same = connection_->prepare(
          "SELECT count(*) FROM store_file s JOIN file f ON f.id = s.file WHERE s.store = ? AND f.filename = "
          "?");
      same.bind(1, store).bind(2, filename);
      same.step();
      n += same.integer(0);
    }
    for (bool taken = true; taken; n += taken ? 1 : 0) {
      Statement row =
          connection_->prepare("SELECT 1 FROM store_file WHERE store = ? AND path = ? AND file <> ?");
      row.bind(1, store).bind(2, numbered(filename, n)).bind(3, attachment.file);
      taken = row.step();
    }
    connection_
        ->prepare(
            "INSERT INTO store_file(store, file, path, attributes, batch, created, status) "
            "VALUES(?, ?, ?, ?, ?, ?, 'in_progress') ON CONFLICT(store, file) DO UPDATE SET "
            "attributes = excluded.attributes, batch = excluded.batch, status = excluded.status, code = '', "
            "message = ''")
        .bind(1, store)
        .bind(2, attachment.file)
        .bind(3, numbered(filename, n))
        .bind(4, dump_json(attachment.attributes))
        .bind(5, batch)
        .bind(6, unix_time())
        .run();
  }
}

bool Catalog::detach(const std::string& store, const std::string& file) {
  const std::lock_guard lock(mutex_);
  Transaction transaction(*connection_);
  {
    Statement known = connection_->prepare("SELECT 1 FROM store_file WHERE store = ? AND file = ?");
    known.bind(1, store).bind(2, file);
    if (!known.step()) return false;
  }
  connection_->prepare("DELETE FROM store_file WHERE store = ? AND file = ?")
      .bind(1, store)
      .bind(2, file)
      .run();
  transaction.commit();
  return true;
}

void Catalog::set_attributes(const std::string& store, const std::string& file, const Json& attributes) {
  const std::lock_guard lock(mutex_);
  connection_->prepare("UPDATE store_file SET attributes = ? WHERE store = ? AND file = ?")
      .bind(1, dump_json(attributes))
      .bind(2, store)
      .bind(3, file)
      .run();
}

void Catalog::set_status(const std::string& store, const std::string& file, const std::string& status,
                         const std::string& code, const std::string& message) {
  const std::lock_guard lock(mutex_);
  connection_->prepare("UPDATE store_file SET status = ?, code = ?, message = ? WHERE store = ? AND file = ?")
      .bind(1, status)
      .bind(2, code)
      .bind(3, message)
      .bind(4, store)
      .bind(5, file)
      .run();
}

std::optional<BatchRecord> Catalog::batch(const std::string& store, const std::string& id) {
  const std::lock_guard lock(mutex_);
  Statement row = connection_->prepare("SELECT id, store, created FROM batch WHERE store = ? AND id = ?");
  row.bind(1, store).bind(2, id);
  if (!row.step()) return std::nullopt;
  return BatchRecord{row.text(0), row.text(1), row.integer(2)};
}

void Catalog::cancel_batch(const std::string& store, const std::string& id) {
  const std::lock_guard lock(mutex_);
  connection_
      ->prepare(
          "UPDATE store_file SET status = 'cancelled' WHERE store = ? AND batch = ? AND status = "
          "'in_progress'")
      .bind(1, store)
      .bind(2, id)
      .run();
}

}  // namespace lectern::server
