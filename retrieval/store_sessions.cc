#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "base/utf8.h"
#include "retrieval/store.h"
#include "retrieval/store_sqlite.h"

namespace lectern {
namespace {

// A text is kept in pieces, so that a passage far inside a large document is read without what precedes it.
constexpr uint64_t kPieceBytes = 64 * 1024;
constexpr int kPieceBits = 24;  // of the number within a document: texts up to 1 TiB

constexpr int kAreaBits = 2, kBlobBits = 22;  // of a blob's key: segment, area, number

int64_t piece_key(int64_t document, uint64_t piece) {
  return document << kPieceBits | static_cast<int64_t>(piece);
}

int64_t blob_key(int64_t segment, SegmentArea area, uint32_t number) {
  LECTERN_CHECK(number < 1u << kBlobBits);
  return ((segment << kAreaBits) | static_cast<int64_t>(area)) << kBlobBits | number;
}

#define LECTERN_DOCUMENT_COLUMNS                                                                      \
  "id, file, path, file_bytes, mtime_ns, file_hash, text_hash, title, format, language, text_bytes, " \
  "text_characters, first_chunk, n_chunks, details"

std::vector<std::string> strings(const Json& object, const char* key) {
  std::vector<std::string> result;
  if (const auto found = object.find(key); found != object.end() && found->is_array())
    for (const Json& item : *found)
      if (item.is_string()) result.push_back(item.get<std::string>());
  return result;
}

Json parse_details(const std::string& details, const std::string& path) {
  try {
    return parse_json(details, "its details");
  } catch (const Error& error) {
    throw Error(ErrorCode::kCorrupt, "the collection's database is damaged (" + path + ": " + error.what() +
                                         "); delete it and index its documents again");
  }
}

StoredDocument document_row(const Statement& row) {
  StoredDocument document;
  document.id = row.integer(0);
  document.file = row.text(1);
  document.path = row.text(2);
  document.file_bytes = static_cast<uint64_t>(row.integer(3));
  document.mtime_ns = row.integer(4);
  document.file_hash = row.text(5);
  document.text_hash = row.text(6);
  document.title = row.text(7);
  document.format = row.text(8);
  document.language = row.text(9);
  document.text_bytes = static_cast<uint64_t>(row.integer(10));
  document.text_characters = static_cast<uint64_t>(row.integer(11));
  document.first_chunk = row.integer(12);
  document.n_chunks = row.integer(13);
  const Json details = parse_details(row.text(14), document.path);
  document.aliases = strings(details, "aliases");
  document.tags = strings(details, "tags");
  document.links = strings(details, "links");
  document.warnings = strings(details, "warnings");
  return document;
}

std::vector<StoredDocument> document_rows(Statement& statement) {
  std::vector<StoredDocument> result;
  while (statement.step()) result.push_back(document_row(statement));
  return result;
}

std::optional<StoredDocument> first_document(Statement& statement) {
  if (!statement.step()) return std::nullopt;
  return document_row(statement);
}

[[noreturn]] void missing(const char* what, int64_t id) {
  throw Error(ErrorCode::kNotFound, std::string("the collection has no ") + what + " " + std::to_string(id));
}

// The headings of a chunk as one text: the path where it begins, then for each later section a line with its
// offset, a tab and its path. Headings are single lines.
std::string encode_headings(const Chunk& chunk) {
  std::string text = chunk.heading_path;
  for (const Chunk::Section& section : chunk.later_sections)
    text += "\n" + std::to_string(section.offset) + "\t" + section.heading_path;
  return text;
}

void decode_headings(std::string_view text, Chunk& chunk) {
  size_t end = std::min(text.find('\n'), text.size());
  chunk.heading_path = text.substr(0, end);
  while (end < text.size()) {
    text.remove_prefix(end + 1);
    end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    Chunk::Section section;
    const auto [tab, error] = std::from_chars(line.data(), line.data() + line.size(), section.offset);
    if (error != std::errc() || tab == line.data() + line.size() || *tab != '\t') continue;
    section.heading_path = line.substr(static_cast<size_t>(tab - line.data()) + 1);
    chunk.later_sections.push_back(std::move(section));
  }
}

// [first, last): the strings below folder `path`. '0' follows '/'.
std::string first_below(const std::string& path) {
  return path.ends_with('/') ? path : path + '/';
}
std::string last_below(const std::string& path) {
  std::string last = first_below(path);
  last.back() = '0';
  return last;
}

}  // namespace

int64_t StoreSession::generation() {
  Statement statement = connection_->prepare("SELECT value FROM meta WHERE key = 'generation'");
  return statement.step() ? statement.integer(0) : 0;
}

std::string StoreSession::analyzer_version() {
  Statement statement = connection_->prepare("SELECT value FROM meta WHERE key = 'analyzer'");
  return statement.step() ? statement.text(0) : "";
}

std::vector<StoredSegment> StoreSession::segments() {
  Statement statement =
      connection_->prepare("SELECT id, header, live FROM segment WHERE shown = 1 ORDER BY id");
  std::vector<StoredSegment> result;
  while (statement.step()) result.push_back({statement.integer(0), statement.text(1), statement.text(2)});
  return result;
}

std::string StoreSession::read_blob(int64_t segment, SegmentArea area, uint32_t number) {
  Statement statement = connection_->prepare("SELECT bytes FROM segment_blob WHERE id = ?");
  statement.bind(1, blob_key(segment, area, number));
  if (statement.step()) return statement.text(0);
  throw Error(ErrorCode::kCorrupt, "search index: blob " + std::to_string(number) + " of segment " +
                                       std::to_string(segment) +
                                       " is not there; delete the collection and index its documents again");
}

std::vector<StoredDocument> StoreSession::documents() {
  Statement statement =
      connection_->prepare("SELECT " LECTERN_DOCUMENT_COLUMNS " FROM document ORDER BY path, id");
  return document_rows(statement);
}

void StoreSession::for_each_name(const std::function<void(const DocumentNames&)>& body) {
  Statement statement = connection_->prepare("SELECT id, path, title, details FROM document");
  while (statement.step()) {
    DocumentNames names{statement.integer(0), statement.text(1), statement.text(2), {}};
    names.aliases = strings(parse_details(statement.text(3), names.path), "aliases");
    body(names);
  }
}

std::vector<StoredDocument> StoreSession::documents_below(const std::string& root) {
  Statement statement =
      connection_->prepare("SELECT " LECTERN_DOCUMENT_COLUMNS
                           " FROM document WHERE file = ?1 OR (file >= ?2 AND file < ?3) ORDER BY file");
  statement.bind(1, root).bind(2, first_below(root)).bind(3, last_below(root));
  return document_rows(statement);
}

std::vector<StoredDocument> StoreSession::documents_at(const std::string& path) {
  Statement statement =
      connection_->prepare("SELECT " LECTERN_DOCUMENT_COLUMNS
                           " FROM document WHERE path = ?1 OR (path >= ?2 AND path < ?3) ORDER BY path");
  statement.bind(1, path).bind(2, first_below(path)).bind(3, last_below(path));
  return document_rows(statement);
}

std::optional<StoredDocument> StoreSession::find_document(const std::string& path) {
  Statement statement = connection_->prepare("SELECT " LECTERN_DOCUMENT_COLUMNS
                                             " FROM document WHERE path = ? ORDER BY id LIMIT 1");
  statement.bind(1, path);
  return first_document(statement);
}

std::optional<StoredDocument> StoreSession::find_file(const std::string& file) {
  Statement statement =
      connection_->prepare("SELECT " LECTERN_DOCUMENT_COLUMNS " FROM document WHERE file = ?");
  statement.bind(1, file);
  return first_document(statement);
}

StoredDocument StoreSession::document(int64_t id) {
  Statement statement =
      connection_->prepare("SELECT " LECTERN_DOCUMENT_COLUMNS " FROM document WHERE id = ?");
  statement.bind(1, id);
  if (auto found = first_document(statement)) return *found;
  missing("document", id);
}

StoredDocument StoreSession::document_of_chunk(int64_t chunk_id) {
  // An empty document shares its first chunk with the one after it.
  Statement statement = connection_->prepare(
      "SELECT " LECTERN_DOCUMENT_COLUMNS
      " FROM document WHERE first_chunk <= ?1 AND n_chunks > 0 ORDER BY first_chunk DESC LIMIT 1");
  statement.bind(1, chunk_id);
  const auto found = first_document(statement);
  if (!found || chunk_id >= found->first_chunk + found->n_chunks) missing("chunk", chunk_id);
  return *found;
}

std::string StoreSession::text(const StoredDocument& document, uint64_t begin, uint64_t end) {
  std::string result;
  if (begin >= end) return result;
  const uint64_t first = begin / kPieceBytes, last = (end - 1) / kPieceBytes;
  Statement statement =
      connection_->prepare("SELECT id, bytes FROM text_piece WHERE id BETWEEN ? AND ? ORDER BY id");
  statement.bind(1, piece_key(document.id, first)).bind(2, piece_key(document.id, last));
  uint64_t piece = first;
  while (statement.step() && statement.integer(0) == piece_key(document.id, piece)) {
    const std::string bytes = statement.text(1);
    const uint64_t skip = piece == first ? begin % kPieceBytes : 0;
    if (skip < bytes.size()) result.append(bytes, skip, end - begin - result.size());
    ++piece;
  }
  if (result.size() != end - begin)
    throw Error(ErrorCode::kCorrupt, document.path +
                                         ": its stored text is incomplete; delete the collection and "
                                         "index its documents again");
  return result;
}

std::vector<Chunk> StoreSession::chunks(int64_t first, int64_t count) {
  Statement statement = connection_->prepare(
      "SELECT first_byte, end_byte, first_line, last_line, first_page, last_page, heading_path FROM chunk "
      "WHERE id >= ? AND id < ? ORDER BY id");
  statement.bind(1, first).bind(2, first + count);
  std::vector<Chunk> result;
  while (statement.step()) {
    Chunk chunk;
    chunk.begin = static_cast<uint64_t>(statement.integer(0));
    chunk.end = static_cast<uint64_t>(statement.integer(1));
    chunk.first_line = static_cast<int>(statement.integer(2));
    chunk.last_line = static_cast<int>(statement.integer(3));
    chunk.first_page = static_cast<int>(statement.integer(4));
    chunk.last_page = static_cast<int>(statement.integer(5));
    decode_headings(statement.text(6), chunk);
    result.push_back(std::move(chunk));
  }
  return result;
}

std::vector<SkippedFile> StoreSession::skipped_below(const std::string& root) {
  Statement statement = connection_->prepare(
      "SELECT file, path, file_bytes, mtime_ns, reason FROM skipped_file "
      "WHERE file = ?1 OR (file >= ?2 AND file < ?3) ORDER BY file");
  statement.bind(1, root).bind(2, first_below(root)).bind(3, last_below(root));
  std::vector<SkippedFile> result;
  while (statement.step())
    result.push_back({statement.text(0), statement.text(1), static_cast<uint64_t>(statement.integer(2)),
                      statement.integer(3), statement.text(4)});
  return result;
}

StoreCounts StoreSession::counts() {
  StoreCounts counts;
  Statement totals = connection_->prepare(
      "SELECT count(*), total(n_chunks), total(text_bytes), total(text_characters), total(file_bytes) FROM "
      "document");
  if (totals.step()) {
    counts.n_documents = totals.integer(0);
    counts.n_chunks = totals.integer(1);
    counts.text_bytes = static_cast<uint64_t>(totals.integer(2));
    counts.text_characters = static_cast<uint64_t>(totals.integer(3));
    counts.file_bytes = static_cast<uint64_t>(totals.integer(4));
  }
  Statement languages = connection_->prepare(
      "SELECT language, count(*) FROM document GROUP BY language ORDER BY count(*) DESC, language");
  while (languages.step()) counts.languages.emplace_back(languages.text(0), languages.integer(1));
  return counts;
}

std::vector<std::string> StoreSession::roots() {
  Statement statement = connection_->prepare("SELECT file, path FROM document ORDER BY file");
  std::vector<std::string> roots;
  while (statement.step()) {
    const std::string file = statement.text(0), path = "/" + statement.text(1);
    if (!file.starts_with('/') || !file.ends_with(path)) continue;  // not a file
    std::string root = file.substr(0, file.size() - path.size());
    if (root.empty()) root = "/";
    if (std::find(roots.begin(), roots.end(), root) == roots.end()) roots.push_back(std::move(root));
  }
  std::sort(roots.begin(), roots.end());
  return roots;
}

void StoreSession::check_integrity() {
  Statement statement = connection_->prepare("PRAGMA quick_check(1)");
  if (!statement.step() || statement.text(0) != "ok")
    throw Error(ErrorCode::kCorrupt, "the collection's database is damaged: " + statement.text(0) +
                                         "; delete it and index its documents again");
}

void WriteSession::set_analyzer_version(const std::string& version) {
  connection_->prepare("UPDATE meta SET value = ? WHERE key = 'analyzer'").bind(1, version).run();
}

void WriteSession::raise_generation() {
  connection_->prepare("UPDATE meta SET value = value + 1 WHERE key = 'generation'").run();
}

void WriteSession::add_document(StoredDocument& document, std::string_view text,
                                const std::vector<Chunk>& chunks) {
  {
    Statement next = connection_->prepare("SELECT value FROM meta WHERE key = 'next_chunk'");
    if (!next.step()) missing("number for chunk", 0);
    document.first_chunk = next.integer(0);
  }
  document.n_chunks = static_cast<int64_t>(chunks.size());
  document.text_bytes = text.size();
  document.text_characters = utf8::count(text);
  connection_->prepare("UPDATE meta SET value = ? WHERE key = 'next_chunk'")
      .bind(1, document.first_chunk + document.n_chunks)
      .run();
  const Json details = {{"aliases", document.aliases},
                        {"tags", document.tags},
                        {"links", document.links},
                        {"warnings", document.warnings}};
  connection_
      ->prepare(
          "INSERT INTO document (file, path, file_bytes, mtime_ns, file_hash, text_hash, title, format, "
          "language, text_bytes, text_characters, first_chunk, n_chunks, details) "
          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .bind(1, document.file)
      .bind(2, document.path)
      .bind(3, static_cast<int64_t>(document.file_bytes))
      .bind(4, document.mtime_ns)
      .bind(5, document.file_hash)
      .bind(6, document.text_hash)
      .bind(7, document.title)
      .bind(8, document.format)
      .bind(9, document.language)
      .bind(10, static_cast<int64_t>(document.text_bytes))
      .bind(11, static_cast<int64_t>(document.text_characters))
      .bind(12, document.first_chunk)
      .bind(13, document.n_chunks)
      .bind(14, dump_json(details))
      .run();
  document.id = connection_->last_insert_id();
  for (uint64_t piece = 0; piece * kPieceBytes < text.size(); ++piece)
    connection_->prepare("INSERT INTO text_piece VALUES (?, ?)")
        .bind(1, piece_key(document.id, piece))
        .bind_blob(2, text.substr(piece * kPieceBytes, kPieceBytes))
        .run();
  int64_t id = document.first_chunk;
  for (const Chunk& chunk : chunks)
    connection_->prepare("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(1, id++)
        .bind(2, static_cast<int64_t>(chunk.begin))
        .bind(3, static_cast<int64_t>(chunk.end))
        .bind(4, static_cast<int64_t>(chunk.first_line))
        .bind(5, static_cast<int64_t>(chunk.last_line))
        .bind(6, static_cast<int64_t>(chunk.first_page))
        .bind(7, static_cast<int64_t>(chunk.last_page))
        .bind(8, encode_headings(chunk))
        .run();
}

void WriteSession::update_file(const StoredDocument& document) {
  connection_->prepare("UPDATE document SET file = ?, path = ?, file_bytes = ?, mtime_ns = ? WHERE id = ?")
      .bind(1, document.file)
      .bind(2, document.path)
      .bind(3, static_cast<int64_t>(document.file_bytes))
      .bind(4, document.mtime_ns)
      .bind(5, document.id)
      .run();
}

void WriteSession::remove_document(const StoredDocument& document) {
  connection_->prepare("DELETE FROM document WHERE id = ?").bind(1, document.id).run();
  connection_->prepare("DELETE FROM chunk WHERE id >= ? AND id < ?")
      .bind(1, document.first_chunk)
      .bind(2, document.first_chunk + document.n_chunks)
      .run();
  connection_->prepare("DELETE FROM text_piece WHERE id >= ? AND id < ?")
      .bind(1, piece_key(document.id, 0))
      .bind(2, piece_key(document.id + 1, 0))
      .run();
}

void WriteSession::set_skipped(const SkippedFile& file) {
  connection_->prepare("INSERT OR REPLACE INTO skipped_file VALUES (?, ?, ?, ?, ?)")
      .bind(1, file.file)
      .bind(2, file.path)
      .bind(3, static_cast<int64_t>(file.file_bytes))
      .bind(4, file.mtime_ns)
      .bind(5, file.reason)
      .run();
}

void WriteSession::remove_skipped(const std::string& file) {
  connection_->prepare("DELETE FROM skipped_file WHERE file = ?").bind(1, file).run();
}

int64_t WriteSession::new_segment() {
  connection_->prepare("INSERT INTO segment (shown, header, live) VALUES (0, x'', x'')").run();
  return connection_->last_insert_id();
}

void WriteSession::write_blob(int64_t segment, SegmentArea area, uint32_t number, std::string_view blob) {
  connection_->prepare("INSERT INTO segment_blob VALUES (?, ?)")
      .bind(1, blob_key(segment, area, number))
      .bind_blob(2, blob)
      .run();
}

void WriteSession::show_segment(int64_t id, std::string_view header, std::string_view live) {
  connection_->prepare("UPDATE segment SET shown = 1, header = ?, live = ? WHERE id = ?")
      .bind_blob(1, header)
      .bind_blob(2, live)
      .bind(3, id)
      .run();
}

void WriteSession::set_live(int64_t segment, std::string_view live) {
  connection_->prepare("UPDATE segment SET live = ? WHERE id = ?").bind_blob(1, live).bind(2, segment).run();
}

void WriteSession::hide_segment(int64_t id) {
  connection_->prepare("UPDATE segment SET shown = 0 WHERE id = ?").bind(1, id).run();
}

bool WriteSession::delete_hidden(uint64_t bytes) {
  int64_t left = static_cast<int64_t>(std::max<uint64_t>(1, bytes / kBlobBytes));
  std::vector<int64_t> hidden;
  {
    Statement statement = connection_->prepare("SELECT id FROM segment WHERE shown = 0");
    while (statement.step()) hidden.push_back(statement.integer(0));
  }
  for (const int64_t id : hidden) {
    const int64_t first = blob_key(id, SegmentArea{0}, 0), last = blob_key(id + 1, SegmentArea{0}, 0);
    Statement find = connection_->prepare("SELECT id FROM segment_blob WHERE id >= ? AND id < ? LIMIT ?");
    find.bind(1, first).bind(2, last).bind(3, left);
    std::vector<int64_t> keys;
    while (find.step()) keys.push_back(find.integer(0));
    for (const int64_t key : keys)
      connection_->prepare("DELETE FROM segment_blob WHERE id = ?").bind(1, key).run();
    left -= static_cast<int64_t>(keys.size());
    if (left == 0) return true;
    connection_->prepare("DELETE FROM segment WHERE id = ?").bind(1, id).run();
  }
  return false;
}

}  // namespace lectern
