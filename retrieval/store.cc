#include "retrieval/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/file_descriptor.h"
#include "retrieval/store_sqlite.h"

namespace lectern {
namespace {

constexpr int64_t kApplicationId = 0x4C637472;  // "Lctr"
constexpr int64_t kFormat = 1;
constexpr size_t kMaxIdleReaders = 8;

constexpr const char* kSchema = R"(
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE document (
  id INTEGER PRIMARY KEY AUTOINCREMENT, file TEXT NOT NULL UNIQUE, path TEXT NOT NULL, file_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL, file_hash TEXT NOT NULL, text_hash TEXT NOT NULL, title TEXT NOT NULL,
  format TEXT NOT NULL, language TEXT NOT NULL, text_bytes INTEGER NOT NULL, text_characters INTEGER NOT NULL,
  first_chunk INTEGER NOT NULL, n_chunks INTEGER NOT NULL, details TEXT NOT NULL);
CREATE INDEX document_path ON document (path);
CREATE INDEX document_chunk ON document (first_chunk);
CREATE TABLE text_piece (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE chunk (
  id INTEGER PRIMARY KEY, first_byte INTEGER NOT NULL, end_byte INTEGER NOT NULL, first_line INTEGER NOT NULL,
  last_line INTEGER NOT NULL, first_page INTEGER NOT NULL, last_page INTEGER NOT NULL, heading_path TEXT NOT NULL);
CREATE TABLE segment (
  id INTEGER PRIMARY KEY AUTOINCREMENT, shown INTEGER NOT NULL, header BLOB NOT NULL, live BLOB NOT NULL);
CREATE TABLE segment_blob (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE skipped_file (
  file TEXT PRIMARY KEY, path TEXT NOT NULL, file_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  reason TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', 0), ('next_chunk', 1), ('analyzer', '');
PRAGMA application_id = 1281586290;
PRAGMA user_version = 1;
)";
static_assert(kApplicationId == 1281586290 && kFormat == 1);

int64_t pragma(Connection& connection, const char* sql) {
  Statement statement = connection.prepare(sql);
  return statement.step() ? statement.integer(0) : 0;
}

bool has_tables(Connection& connection) {
  return pragma(connection, "SELECT count(*) FROM sqlite_master") > 0;
}

uint64_t size_of(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

// Does the file's header name us as its application? https://sqlite.org/fileformat.html, "The Database
// Header"
bool has_our_mark(const std::filesystem::path& path) {
  constexpr size_t kHeaderBytes = 100, kApplicationIdOffset = 68;
  std::array<char, kHeaderBytes> header{};
  std::ifstream file(path, std::ios::binary);
  if (!file.read(header.data(), header.size())) return false;
  int64_t id = 0;
  for (size_t i = 0; i < 4; ++i) id = id << 8 | static_cast<uint8_t>(header[kApplicationIdOffset + i]);
  return std::string_view(header.data(), 16) == std::string_view("SQLite format 3\0", 16) &&
         id == kApplicationId;
}

std::filesystem::path with_suffix(const std::filesystem::path& path, const char* suffix) {
  return path.string() + suffix;
}

}  // namespace

Store::Store(std::filesystem::path path, bool in_memory) : path_(std::move(path)), in_memory_(in_memory) {}

std::unique_ptr<Store> Store::open(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    throw Error(ErrorCode::kInvalidArgument,
                path.string() + ": is no regular file; name a file for the collection");
  std::unique_ptr<Store> store(new Store(std::filesystem::absolute(path), false));
  if (!std::filesystem::exists(status)) {
    std::filesystem::create_directories(store->path_.parent_path(), error);
    store->create();
  }
  try {
    auto reader = store->new_reader();
    if (pragma(*reader, "PRAGMA application_id") == 0 && !has_tables(*reader)) {
      reader.reset();
      store->create();  // empty: another process was killed before it had begun
      reader = store->new_reader();
    }
    store->check_format(*reader);
    store->idle_readers_.push_back(std::move(reader));
  } catch (const Error& failed) {
    if (failed.code() != ErrorCode::kIo || size_of(with_suffix(path, "-wal")) != 0) throw;
    // In a folder that cannot be written a database without a log can still be read.
    store->immutable_ = true;
    auto reader = store->new_reader();
    store->check_format(*reader);
    store->idle_readers_.push_back(std::move(reader));
  }
  return store;
}

std::unique_ptr<Store> Store::open_in_memory() {
  std::unique_ptr<Store> store(new Store(":memory:", true));
  store->writer_ = std::make_unique<Connection>(store->path_, Connection::Mode::kMemory);
  store->writer_->execute(kSchema);
  return store;
}

void Store::erase(const std::filesystem::path& path) {
  try {
    open(path);
  } catch (const Error& error) {
    // A damaged or newer one is recognised by its mark.
    const bool may_be_ours = error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kUnsupported;
    if (!may_be_ours || !has_our_mark(path)) throw;
  }
  const Store store(std::filesystem::absolute(path), false);
  const int lock_file = store.take_lock_file();
  const FileDescriptor closes(lock_file);
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
    std::error_code error;
    std::filesystem::remove(with_suffix(store.path_, suffix), error);
    if (error)
      throw Error(ErrorCode::kIo, with_suffix(store.path_, suffix).string() + ": cannot be deleted: " +
                                      error.message() + "; check the permissions of its folder");
  }
}

Store::~Store() {
  idle_readers_.clear();
  if (writer_ == nullptr || in_memory_) return;
  // The last one out leaves a database without a log, if no other process is at it.
  try {
    const int lock_file = take_lock_file();
    const FileDescriptor closes(lock_file);
    writer_->checkpoint();
    writer_.reset();
  } catch (const Error&) {
    // The next writer does it.
  }
}

void Store::check_format(Connection& connection) const {
  if (pragma(connection, "PRAGMA application_id") != kApplicationId)
    throw Error(ErrorCode::kCorrupt, path_.string() + ": is not a Lectern collection; name another file");
  const int64_t format = pragma(connection, "PRAGMA user_version");
  if (format > kFormat)
    throw Error(ErrorCode::kUnsupported, path_.string() + ": was made by a newer Lectern (format " +
                                             std::to_string(format) + ", this one reads " +
                                             std::to_string(kFormat) + "); update Lectern or index again");
  if (format != kFormat)
    throw Error(ErrorCode::kCorrupt, path_.string() + ": has format " + std::to_string(format) +
                                         ", which does not exist; delete it and index its documents again");
}

void Store::create() {
  const int lock_file = take_lock_file();
  const FileDescriptor closes(lock_file);
  auto connection = std::make_unique<Connection>(path_, Connection::Mode::kWriter);
  connection->execute("PRAGMA page_size = 8192");
  connection->execute("PRAGMA journal_mode = WAL");
  Transaction transaction(*connection);
  if (!has_tables(*connection)) connection->execute(kSchema);  // else another process was faster
  transaction.commit();
}

std::unique_ptr<Connection> Store::new_reader() const {
  auto connection = std::make_unique<Connection>(
      path_, immutable_ ? Connection::Mode::kImmutable : Connection::Mode::kReader);
  pragma(*connection, "PRAGMA user_version");  // reads the file: opening alone does not
  return connection;
}

int Store::take_lock_file() const {
  const auto path = with_suffix(path_, ".lock");
  const int lock_file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_file < 0)
    throw Error(errno == ENOSPC || errno == EDQUOT ? ErrorCode::kResourceExhausted : ErrorCode::kIo,
                path_.string() + ": the collection cannot be written (" + std::strerror(errno) +
                    "); check the permissions of its folder and the space left");
  if (::flock(lock_file, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    ::close(lock_file);
    if (reason == EWOULDBLOCK)
      throw Error(
          ErrorCode::kUnavailable,
          path_.string() + ": another process is writing to the collection; try again when it is done");
    throw Error(ErrorCode::kIo, path.string() + ": cannot be locked: " + std::strerror(reason));
  }
  return lock_file;
}

std::unique_ptr<ReadSession> Store::read() {
  if (in_memory_)
    return std::unique_ptr<ReadSession>(
        new ReadSession(*this, nullptr, *writer_, std::unique_lock(write_mutex_)));
  std::unique_ptr<Connection> connection;
  {
    const std::lock_guard lock(pool_mutex_);
    if (!idle_readers_.empty()) {
      connection = std::move(idle_readers_.back());
      idle_readers_.pop_back();
    }
  }
  if (connection == nullptr) connection = new_reader();
  Connection& used = *connection;
  return std::unique_ptr<ReadSession>(new ReadSession(*this, std::move(connection), used, {}));
}

std::unique_ptr<WriteSession> Store::write() {
  return start_writing(std::unique_lock(write_mutex_));
}

std::unique_ptr<WriteSession> Store::try_write() {
  std::unique_lock lock(write_mutex_, std::try_to_lock);
  return lock ? start_writing(std::move(lock)) : nullptr;
}

std::unique_ptr<WriteSession> Store::start_writing(std::unique_lock<std::mutex> lock) {
  if (in_memory_) return std::unique_ptr<WriteSession>(new WriteSession(*this, std::move(lock), -1));
  const int lock_file = take_lock_file();
  FileDescriptor closes(lock_file);
  if (writer_ == nullptr) {
    auto writer = std::make_unique<Connection>(path_, Connection::Mode::kWriter);
    writer->execute("PRAGMA synchronous = NORMAL");
    writer->execute("PRAGMA secure_delete = FAST");
    writer->execute("PRAGMA cache_size = -16384");
    check_format(*writer);
    writer_ = std::move(writer);
  }
  std::unique_ptr<WriteSession> session(new WriteSession(*this, std::move(lock), lock_file));
  closes.fd = -1;  // the session's now
  return session;
}

uint64_t Store::file_bytes() const {
  return in_memory_ ? 0 : size_of(path_) + size_of(with_suffix(path_, "-wal"));
}

bool Store::owns(const std::filesystem::path& file) const {
  if (in_memory_) return false;
  std::error_code error;
  for (const char* suffix : {"", "-wal", "-shm", ".lock"})
    if (file.filename() == with_suffix(path_, suffix).filename() &&
        std::filesystem::equivalent(file, with_suffix(path_, suffix), error) && !error)
      return true;
  return false;
}

ReadSession::ReadSession(Store& store, std::unique_ptr<Connection> owned, Connection& connection,
                         std::unique_lock<std::mutex> lock)
    : StoreSession(connection),
      store_(&store),
      lock_(std::move(lock)),
      owned_(std::move(owned)),
      transaction_(std::make_unique<Transaction>(connection, "BEGIN")) {}

ReadSession::~ReadSession() {
  transaction_.reset();
  if (owned_ == nullptr) return;
  const std::lock_guard lock(store_->pool_mutex_);
  if (store_->idle_readers_.size() < kMaxIdleReaders) store_->idle_readers_.push_back(std::move(owned_));
}

WriteSession::WriteSession(Store& store, std::unique_lock<std::mutex> lock, int lock_file)
    : StoreSession(*store.writer_), store_(&store), lock_(std::move(lock)), lock_file_(lock_file) {}

WriteSession::~WriteSession() {
  transaction_.reset();
  if (lock_file_ < 0) return;
  connection_->checkpoint();
  ::close(lock_file_);
}

void WriteSession::begin() {
  LECTERN_CHECK(transaction_ == nullptr);
  transaction_ = std::make_unique<Transaction>(*connection_);
}

void WriteSession::commit() {
  LECTERN_CHECK(transaction_ != nullptr);
  transaction_->commit();
  transaction_.reset();
}

}  // namespace lectern
