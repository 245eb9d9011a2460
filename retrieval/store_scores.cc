// Scores that a model gave chunks: a cache beside the documents. Its table is made by the first writer that
// has something to keep, so that collections without it, and programs that do not know it, need no other
// format.
#include "retrieval/store.h"
#include "retrieval/store_sqlite.h"

namespace lectern {
namespace {

// The oldest go beyond this: about 12 MB.
constexpr int64_t kMaxScores = 100'000;

bool has_scores(Connection& connection) {
  Statement statement = connection.prepare("SELECT 1 FROM sqlite_master WHERE name = 'chunk_score'");
  return statement.step();
}

}  // namespace

std::vector<std::optional<double>> StoreSession::scores(std::span<const std::string> keys) {
  std::vector<std::optional<double>> found(keys.size());
  if (!has_scores(*connection_)) return found;
  for (size_t i = 0; i < keys.size(); ++i) {
    Statement statement = connection_->prepare("SELECT score FROM chunk_score WHERE key = ?");
    if (statement.bind(1, keys[i]).step()) found[i] = statement.real(0);
  }
  return found;
}

void WriteSession::add_scores(std::span<const std::pair<std::string, double>> scores) {
  connection_->execute(
      "CREATE TABLE IF NOT EXISTS chunk_score "
      "(id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, score REAL NOT NULL)");
  for (const auto& [key, score] : scores)
    connection_->prepare("INSERT OR REPLACE INTO chunk_score (key, score) VALUES (?, ?)")
        .bind(1, key)
        .bind_real(2, score)
        .run();
  connection_->prepare("DELETE FROM chunk_score WHERE id <= (SELECT max(id) FROM chunk_score) - ?")
      .bind(1, kMaxScores)
      .run();
}

}  // namespace lectern
