// A searchable set of documents in one database file: what the layers above see of retrieval. Incremental:
// unchanged files are not read again, changed, renamed and removed ones are noticed. One writer at a time (a
// lock file); searches from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/progress.h"
#include "retrieval/document.h"
#include "retrieval/extract.h"

namespace lectern {

struct IndexReport {
  int added = 0, changed = 0, renamed = 0, removed = 0, unchanged = 0;
  uint64_t bytes_read = 0;
  double seconds = 0;
  std::vector<FileWarning> warnings;  // files skipped or read in part
};

struct IndexOptions {
  ExtractLimits limits;
  bool follow_ignore_files = true;           // .gitignore and .ignore
  uint64_t batch_bytes = uint64_t{8} << 20;  // of text in one transaction
};

struct DocumentInfo {
  int64_t id = 0;
  std::string path;  // as the person named it: relative to the indexed folder
  std::string title;
  std::string format;
  std::string language;
  std::string hash;  // SHA-256 of the text
  uint64_t text_bytes = 0;
  int n_chunks = 0;
};

// A chunk with its text and where it stands.
struct Passage {
  int64_t chunk_id = 0;
  int64_t document_id = 0;
  std::string path;
  std::string title;
  Chunk chunk;
  std::string text;
};

struct SearchQuery {
  std::string text;
  double weight = 1.0;  // among several
};

struct TermShare {  // one term's part of a BM25 score, for --explain
  std::string term;
  double score = 0;
};

struct SearchHit {
  Passage passage;
  // Of the section within the passage that holds most of what was searched for; without
  // SearchRequest::sections of the passage's beginning.
  std::string heading_path;
  double score = 0;  // BM25 for one query, the fused score for several or when asked for shares
  std::vector<TermShare> terms;
  // The name, as written, by which the request or a passage mentions the document: "" for a passage found by
  // its words alone. Such passages stand where SearchRequest::follow_names put them, whatever their score.
  std::string name;
};

struct SearchRequest {
  // Several are fused: a chunk's score is the weighted sum of its BM25 scores, each as a share of what a
  // chunk with all the query's words would get. A query whose words the documents do not know thus counts
  // little.
  std::vector<SearchQuery> queries;
  int limit = 10;
  bool explain = false;
  bool sections = false;           // SearchHit::heading_path names the section that was hit
  std::vector<int64_t> documents;  // empty: all
  // Also brings passages of the documents that the queries name (by title, alias, file name or link), and of
  // those that these passages name: what questions over several documents need.
  bool follow_names = false;
  bool shares = false;  // one query, too, is scored as a share: comparable between questions
};

struct CollectionStats {
  int64_t n_documents = 0, n_chunks = 0, n_terms = 0, n_postings = 0;
  uint64_t text_bytes = 0, text_characters = 0, index_bytes = 0, file_bytes = 0;
  std::vector<std::pair<std::string, int64_t>> languages;  // documents by language, most first
};

class Collection {
 public:
  // Opens or creates the database at `path`. Throws Error naming the path: kCorrupt when it is no collection
  // of ours, kUnavailable when another process writes to it (readers are never refused).
  static std::unique_ptr<Collection> open(const std::filesystem::path& path);
  static std::unique_ptr<Collection> open_in_memory();
  virtual ~Collection() = default;

  // Brings the collection in line with what lies under `roots` (files or folders); documents of other roots
  // stay. A kill at any moment loses nothing committed. Throws kNotFound when a root is not there, kCancelled
  // after keeping the finished batches; single bad files only warn.
  virtual IndexReport index(std::span<const std::filesystem::path> roots, const IndexOptions& options,
                            const ProgressFn& progress, const CancelToken& cancel) = 0;
  // A document from memory, replacing one of the same path.
  virtual int64_t add(const std::string& path, const Document& document) = 0;
  // By path or by folder prefix; how many went.
  virtual int remove(const std::string& path) = 0;

  virtual std::vector<SearchHit> search(const SearchRequest& request) const = 0;

  virtual CollectionStats stats() const = 0;
  virtual std::vector<DocumentInfo> documents() const = 0;
  virtual std::optional<DocumentInfo> find_document(const std::string& path) const = 0;
  virtual std::string text(int64_t document_id) const = 0;
  virtual Passage passage(int64_t chunk_id) const = 0;
  // Chunks [first, first + count) of a document by ordinal; fewer at its end.
  virtual std::vector<Passage> passages(int64_t document_id, int first, int count) const = 0;

  // A cache of scores that a model gave to chunks, by a key of the caller's, of bounded size. A collection
  // that cannot be written now keeps nothing, and says nothing: what is not kept is computed again.
  virtual std::vector<std::optional<double>> kept_scores(std::span<const std::string> keys) const = 0;
  virtual void keep_scores(std::span<const std::pair<std::string, double>> scores) const = 0;

  // The folders that its files were found under, in order.
  virtual std::vector<std::string> roots() const = 0;

  // Throws Error(kCorrupt) when postings and chunks disagree; for tests and `doctor`.
  virtual void verify() const = 0;
};

// Deletes the collection at `path` with its log and lock file, also one that is damaged or of a newer format.
// Throws Error: kCorrupt for a file that is no collection of ours, kUnavailable while another process writes
// to it, kIo.
void delete_collection(const std::filesystem::path& path);

// The database library under a collection, such as "SQLite 3.40.1".
std::string storage_version();
// Why that version asks for care, "" when it does not.
std::string storage_caveat();

// Where the collection of a folder lives when the person names none: under data_folder(), named by the
// folder's real path.
std::filesystem::path default_collection_path(const std::filesystem::path& folder);
// Those that are there, by name.
std::vector<std::filesystem::path> default_collections();

}  // namespace lectern
