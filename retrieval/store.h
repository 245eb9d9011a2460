// The database of a collection: documents, their texts and chunks, the segments of the search index, and what
// was said about files that could not be read. One SQLite file in WAL mode. Any number of sessions read, each
// seeing one moment; one session writes at a time, over all processes, guarded by a lock file. Store may be
// used from any thread, a session by one at a time. Tables: docs/file_formats.md, "Collection".
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "retrieval/document.h"
#include "retrieval/segment.h"

namespace lectern {

class Connection;
class Transaction;

// What a document is called.
struct DocumentNames {
  int64_t id = 0;
  std::string path;
  std::string title;
  std::vector<std::string> aliases;
};

struct StoredDocument {
  int64_t id = 0;
  std::string file;  // absolute path; "memory:PATH" for a document that is no file
  std::string path;  // as people see it
  uint64_t file_bytes = 0;
  int64_t mtime_ns = 0;
  std::string file_hash;  // SHA-256 of the file, "" for none
  std::string text_hash;  // SHA-256 of the text
  std::string title, format, language;
  uint64_t text_bytes = 0, text_characters = 0;
  int64_t first_chunk = 0;  // its chunks' ids follow each other
  int64_t n_chunks = 0;
  std::vector<std::string> aliases, tags, links, warnings;
};

struct StoredSegment {
  int64_t id = 0;
  std::string header;  // SegmentHeader::encode
  std::string live;    // LiveBits::encode
};

// A file that could not be read when it was so large and so old.
struct SkippedFile {
  std::string file;
  std::string path;
  uint64_t file_bytes = 0;
  int64_t mtime_ns = 0;
  std::string reason;
};

struct StoreCounts {
  int64_t n_documents = 0, n_chunks = 0;
  uint64_t text_bytes = 0, text_characters = 0, file_bytes = 0;
  std::vector<std::pair<std::string, int64_t>> languages;  // most documents first
};

// What can be read. Ids that are not there throw Error(kNotFound).
class StoreSession : public BlobReader {
 public:
  explicit StoreSession(Connection& connection) : connection_(&connection) {}

  // Changes whenever the segments do.
  int64_t generation();
  std::string analyzer_version();
  std::vector<StoredSegment> segments();  // in order of their ids
  std::string read_blob(int64_t segment, SegmentArea area, uint32_t number) override;

  std::vector<StoredDocument> documents();  // by path
  // One document after the other, in any order: for collections whose list is large.
  void for_each_name(const std::function<void(const DocumentNames&)>& body);
  std::vector<StoredDocument> documents_below(const std::string& root);  // the file `root` and all below it
  std::vector<StoredDocument> documents_at(const std::string& path);     // that people see so, or below it
  std::optional<StoredDocument> find_document(const std::string& path);
  std::optional<StoredDocument> find_file(const std::string& file);
  StoredDocument document(int64_t id);
  StoredDocument document_of_chunk(int64_t chunk_id);
  std::string text(const StoredDocument& document, uint64_t begin, uint64_t end);
  // Chunks with ids [first, first + count), fewer at the end.
  std::vector<Chunk> chunks(int64_t first, int64_t count);
  std::vector<SkippedFile> skipped_below(const std::string& root);
  StoreCounts counts();
  // Of chunks, by key; none for one that is not kept.
  std::vector<std::optional<double>> scores(std::span<const std::string> keys);
  // The folders that files were found under: absolute paths, ascending.
  std::vector<std::string> roots();
  // Throws Error(kCorrupt) when SQLite finds the file damaged.
  void check_integrity();

 protected:
  Connection* connection_;
};

class Store;

class ReadSession : public StoreSession {
 public:
  ~ReadSession() override;

 private:
  friend class Store;
  ReadSession(Store& store, std::unique_ptr<Connection> owned, Connection& connection,
              std::unique_lock<std::mutex> lock);

  Store* store_;
  std::unique_lock<std::mutex> lock_;  // of a collection in memory
  std::unique_ptr<Connection> owned_;
  std::unique_ptr<Transaction> transaction_;
};

// The one session that writes. Changes happen between begin() and commit(); what was begun and not committed
// when the session ends is undone.
class WriteSession : public StoreSession {
 public:
  ~WriteSession() override;

  void begin();
  void commit();
  bool active() const { return transaction_ != nullptr; }

  void set_analyzer_version(const std::string& version);
  void raise_generation();

  // Gives `document` its id and the chunks their ids; chunks are in order of ordinal.
  void add_document(StoredDocument& document, std::string_view text, const std::vector<Chunk>& chunks);
  // The file's place, size, time and path changed, its content did not.
  void update_file(const StoredDocument& document);
  void remove_document(const StoredDocument& document);

  // Kept until newer ones need their place.
  void add_scores(std::span<const std::pair<std::string, double>> scores);

  void set_skipped(const SkippedFile& file);
  void remove_skipped(const std::string& file);

  // A segment is invisible until it is shown.
  int64_t new_segment();
  void write_blob(int64_t segment, SegmentArea area, uint32_t number, std::string_view blob);
  void show_segment(int64_t id, std::string_view header, std::string_view live);
  void set_live(int64_t segment, std::string_view live);
  void hide_segment(int64_t id);
  // Deletes blobs of hidden segments, at most about `bytes` of them; false when none are left.
  bool delete_hidden(uint64_t bytes);

 private:
  friend class Store;
  WriteSession(Store& store, std::unique_lock<std::mutex> lock, int lock_file);

  Store* store_;
  std::unique_lock<std::mutex> lock_;
  int lock_file_;
  std::unique_ptr<Transaction> transaction_;
};

class Store {
 public:
  // Opens or creates. Throws Error naming the path: kCorrupt for a file that is none of ours or damaged,
  // kUnsupported for one of a newer Lectern, kIo.
  static std::unique_ptr<Store> open(const std::filesystem::path& path);
  static std::unique_ptr<Store> open_in_memory();
  // delete_collection() of retrieval/collection.h.
  static void erase(const std::filesystem::path& path);
  ~Store();

  std::unique_ptr<ReadSession> read();
  // Throws Error(kUnavailable) when another process writes.
  std::unique_ptr<WriteSession> write();
  // Null at once, without waiting, when this process writes already.
  std::unique_ptr<WriteSession> try_write();
  uint64_t file_bytes() const;  // database and log
  // Is it one of the collection's own files?
  bool owns(const std::filesystem::path& file) const;

 private:
  friend class ReadSession;
  friend class WriteSession;
  Store(std::filesystem::path path, bool in_memory);

  std::unique_ptr<WriteSession> start_writing(std::unique_lock<std::mutex> lock);
  int take_lock_file() const;
  void create();
  void check_format(Connection& connection) const;
  std::unique_ptr<Connection> new_reader() const;

  std::filesystem::path path_;
  bool in_memory_;
  bool immutable_ = false;  // in a folder where nothing can be written
  std::mutex write_mutex_;
  std::unique_ptr<Connection> writer_;  // a collection in memory has only this
  std::mutex pool_mutex_;
  std::vector<std::unique_ptr<Connection>> idle_readers_;
};

}  // namespace lectern
