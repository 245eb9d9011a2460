// SQLite with our errors: connections, statements, transactions. The only place, with store.cc, that knows
// sqlite3.h. A Connection and its statements belong to one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace lectern {

class Connection;

// A prepared statement in use; reset when it goes. Parameters count from 1, columns from 0.
class Statement {
 public:
  Statement(Connection& connection, sqlite3_stmt* statement)
      : connection_(&connection), statement_(statement) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(int index, int64_t value);
  Statement& bind_real(int index, double value);
  Statement& bind(int index, std::string_view text);  // copied
  Statement& bind_blob(int index, std::string_view bytes);

  bool step();  // true: a row is there
  void run();   // no row is expected
  int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;  // text or blob

 private:
  Connection* connection_;
  sqlite3_stmt* statement_;
};

class Connection {
 public:
  enum class Mode {
    kMemory,
    kWriter,     // the one that writes and moves the log into the database
    kReader,     // never writes
    kImmutable,  // a file that nobody can write to, in a folder where no log can be made
  };
  // Throws Error naming the path.
  Connection(const std::filesystem::path& path, Mode mode);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // `sql` must be a literal: the statement is kept by its address.
  Statement prepare(const char* sql);
  void execute(const char* sql);
  bool in_transaction() const;
  int64_t last_insert_id() const;
  // Moves the log into the database as far as readers allow.
  void checkpoint();

  [[noreturn]] void fail(int code) const;

 private:
  friend class Statement;

  std::string name_;
  sqlite3* database_ = nullptr;
  std::map<const char*, sqlite3_stmt*> statements_;
};

std::string sqlite_version();  // "3.40.1"
// Can two connections that write or checkpoint at once damage the log? https://sqlite.org/wal.html,
// "WAL-reset".
bool has_wal_reset_bug();

// Rolls back unless committed.
class Transaction {
 public:
  explicit Transaction(Connection& connection, const char* begin = "BEGIN IMMEDIATE");
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void commit();

 private:
  Connection* connection_;
};

}  // namespace lectern
