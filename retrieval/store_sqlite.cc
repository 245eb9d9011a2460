#include "retrieval/store_sqlite.h"

#include <sqlite3.h>

#include <cerrno>
#include <cstring>

namespace lectern {
namespace {

constexpr int kBusyTimeoutMs = 10'000;

int open_flags(Connection::Mode mode) {
  switch (mode) {
    case Connection::Mode::kMemory:
      return SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY;
    case Connection::Mode::kWriter:
      return SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    case Connection::Mode::kReader:  // the log's index has to be written even by readers
      return SQLITE_OPEN_READWRITE;
    case Connection::Mode::kImmutable:
      return SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
  }
  return 0;
}

std::string file_uri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '?' || c == '#' || c == '%') {
      char escaped[4];
      std::snprintf(escaped, sizeof(escaped), "%%%02X", static_cast<unsigned char>(c));
      uri += escaped;
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

Connection::Connection(const std::filesystem::path& path, Mode mode) : name_(path.string()) {
  const std::string name = mode == Mode::kMemory      ? ":memory:"
                           : mode == Mode::kImmutable ? file_uri(name_)
                                                      : name_;
  const int code = sqlite3_open_v2(name.c_str(), &database_, open_flags(mode) | SQLITE_OPEN_NOMUTEX, nullptr);
  try {
    if (code != SQLITE_OK) fail(code);
    sqlite3_extended_result_codes(database_, 1);
    sqlite3_busy_timeout(database_, kBusyTimeoutMs);
    // No cell of a damaged or hostile file is trusted to be well-formed.
    execute("PRAGMA cell_size_check = ON");
    execute("PRAGMA trusted_schema = OFF");
    execute("PRAGMA mmap_size = 0");
    if (mode != Mode::kWriter && mode != Mode::kMemory) {
      sqlite3_db_config(database_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
      execute("PRAGMA query_only = ON");
      execute("PRAGMA wal_autocheckpoint = 0");
    }
  } catch (...) {
    for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    sqlite3_close(database_);
    throw;
  }
}

Connection::~Connection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(database_);
}

Statement Connection::prepare(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr) {
    const int code = sqlite3_prepare_v3(database_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) fail(code);
  }
  return Statement(*this, statement);
}

void Connection::execute(const char* sql) {
  const int code = sqlite3_exec(database_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

bool Connection::in_transaction() const {
  return sqlite3_get_autocommit(database_) == 0;
}

int64_t Connection::last_insert_id() const {
  return sqlite3_last_insert_rowid(database_);
}

void Connection::checkpoint() {
  // Busy readers only mean that the log stays a little longer.
  sqlite3_wal_checkpoint_v2(database_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
}

void Connection::fail(int code) const {
  const std::string said = database_ != nullptr ? sqlite3_errmsg(database_) : sqlite3_errstr(code);
  const int system = database_ != nullptr ? sqlite3_system_errno(database_) : 0;
  const std::string reason = system != 0 ? std::string(": ") + std::strerror(system) : "";
  switch (code & 0xFF) {
    case SQLITE_FULL:
      throw Error(
          ErrorCode::kResourceExhausted,
          name_ + ": the disk is full; the collection is as it was before, free some space and try again");
    case SQLITE_NOMEM:
      throw Error(ErrorCode::kResourceExhausted, name_ + ": out of memory");
    case SQLITE_NOTADB:
      throw Error(ErrorCode::kCorrupt, name_ + ": is not a Lectern collection; name another file");
    case SQLITE_CORRUPT:
      throw Error(ErrorCode::kCorrupt,
                  name_ + ": is damaged (" + said + "); delete it and index its documents again");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(ErrorCode::kUnavailable, name_ + ": is in use by another process; try again later");
    case SQLITE_READONLY:
      throw Error(ErrorCode::kIo, name_ + ": cannot be written" + reason +
                                      "; check the permissions of the file and its folder");
    case SQLITE_CANTOPEN:
      throw Error(ErrorCode::kIo, name_ + ": cannot be opened" + reason +
                                      "; check the path and the permissions of the file and its folder");
    case SQLITE_IOERR: {
      // A limit on file sizes or a quota shows as a failed write, sometimes without its number.
      const bool writing = code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE;
      if (system == ENOSPC || system == EDQUOT || system == EFBIG || (writing && system == 0))
        throw Error(ErrorCode::kResourceExhausted,
                    name_ + ": no space is left to write" + reason +
                        "; the collection is as it was before, free some space and try again");
      throw Error(ErrorCode::kIo, name_ + ": " + said + reason);
    }
    default:
      throw Error(ErrorCode::kCorrupt, name_ + ": " + said + "; delete it and index its documents again");
  }
}

std::string sqlite_version() {
  return sqlite3_libversion();
}

bool has_wal_reset_bug() {
  const int version = sqlite3_libversion_number();
  constexpr int kFirstWithLogs = 3'007'000, kFixed = 3'051'003;
  return version >= kFirstWithLogs && version < kFixed;
}

Statement::~Statement() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Statement& Statement::bind(int index, int64_t value) {
  if (const int code = sqlite3_bind_int64(statement_, index, value); code != SQLITE_OK)
    connection_->fail(code);
  return *this;
}

Statement& Statement::bind_real(int index, double value) {
  if (const int code = sqlite3_bind_double(statement_, index, value); code != SQLITE_OK)
    connection_->fail(code);
  return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
  const int code = sqlite3_bind_text64(statement_, index, text.data() != nullptr ? text.data() : "",
                                       text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK) connection_->fail(code);
  return *this;
}

Statement& Statement::bind_blob(int index, std::string_view bytes) {
  const int code = sqlite3_bind_blob64(statement_, index, bytes.data() != nullptr ? bytes.data() : "",
                                       bytes.size(), SQLITE_TRANSIENT);
  if (code != SQLITE_OK) connection_->fail(code);
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) connection_->fail(code);
  return false;
}

void Statement::run() {
  while (step()) continue;
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Statement::real(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string Statement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes != nullptr ? std::string(bytes, static_cast<size_t>(size)) : std::string();
}

Transaction::Transaction(Connection& connection, const char* begin) : connection_(&connection) {
  connection.execute(begin);
}

Transaction::~Transaction() {
  if (connection_ == nullptr || !connection_->in_transaction()) return;
  try {
    connection_->execute("ROLLBACK");
  } catch (const Error&) {
    // A failed write may have rolled back already.
  }
}

void Transaction::commit() {
  connection_->execute("COMMIT");
  connection_ = nullptr;
}

}  // namespace lectern
