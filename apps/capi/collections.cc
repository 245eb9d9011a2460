// Collections: opening, indexing, documents, and searching.
#include <set>

#include "apps/capi/guarded.h"
#include "apps/capi/handles.h"
#include "apps/capi/passages.h"
#include "apps/capi/stop.h"
#include "apps/common/byte_ranges.h"
#include "apps/common/reports.h"
#include "base/clock.h"
#include "retrieval/extract.h"

namespace lectern::capi {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxHits = 1000;

// The databases that are open in this program, each as often as it has handles.
std::mutex open_mutex;
std::multiset<fs::path> open_databases;

fs::path identity_of(const fs::path& path) {
  std::error_code error;
  fs::path whole = fs::weakly_canonical(path, error);
  return error ? path : whole;
}

lectern_collection* open(const fs::path& path, std::vector<fs::path> folders) {
  if (path.empty()) refuse("path: name a file for the collection");
  std::error_code error;
  if (const fs::path parent = path.parent_path(); !parent.empty()) fs::create_directories(parent, error);
  if (error) throw Error(ErrorCode::kIo, path.parent_path().string() + ": " + error.message());
  auto opened = std::make_unique<lectern_collection>();
  opened->path = path;
  opened->folders = std::move(folders);
  opened->collection = Collection::open(path);
  const std::lock_guard lock(open_mutex);
  opened->identity = identity_of(path);
  open_databases.insert(opened->identity);
  return opened.release();
}

lectern_collection* open_folder(const std::string& folder) {
  std::error_code error;
  if (!fs::exists(folder, error))
    throw Error(ErrorCode::kNotFound, folder + ": " + (error ? error.message() : "no such file or folder"));
  return open(default_collection_path(folder), {fs::absolute(folder)});
}

void delete_database(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error))
    throw Error(ErrorCode::kNotFound, path + ": " + (error ? error.message() : "no such file"));
  const std::lock_guard lock(open_mutex);
  if (open_databases.contains(identity_of(path)))
    throw Error(ErrorCode::kUnavailable, path + ": is open in this program; free its handles first");
  delete_collection(path);
}

std::vector<fs::path> roots_of(const lectern_collection& collection, const lectern_index_options& options) {
  require_list(options.paths, options.n_paths, "paths");
  std::vector<fs::path> roots;
  for (size_t i = 0; i < options.n_paths; ++i) roots.emplace_back(required_text(options.paths[i], "paths"));
  if (roots.empty()) roots = collection.folders;
  if (roots.empty())
    for (const std::string& root : collection.collection->roots()) roots.emplace_back(root);
  if (roots.empty()) refuse("paths: name what is to be indexed; nothing was before");
  return roots;
}

const lectern_index_report* index(lectern_collection* collection, const lectern_index_options& options) {
  require(collection, "collection");
  const std::vector<fs::path> roots = roots_of(*collection, options);
  const Stop stop(options.cancel);
  IndexOptions how;
  how.follow_ignore_files = options.all_files == 0;
  const std::lock_guard lock(collection->writing);
  const IndexReport report = collection->collection->index(
      roots, how, stop.progress(options.on_progress, options.user_data), stop.token());
  stop.token().throw_if_cancelled();  // by the last word of the progress, when all had been read
  auto out = std::make_unique<Result<lectern_index_report>>();
  out->added = report.added;
  out->changed = report.changed;
  out->renamed = report.renamed;
  out->removed = report.removed;
  out->unchanged = report.unchanged;
  out->bytes_read = report.bytes_read;
  out->seconds = report.seconds;
  auto** warnings = out->memory.take<const lectern_file_warning*>(report.warnings.size());
  for (const FileWarning& warning : report.warnings) {
    auto* entry = out->memory.take<lectern_file_warning>();
    entry->path = out->memory.text(warning.path);
    entry->reason = out->memory.text(warning.reason);
    warnings[out->n_warnings++] = entry;
  }
  out->warnings = warnings;
  return out.release();
}

int64_t add(lectern_collection* collection, const char* path, const char* bytes, size_t n_bytes,
            const char* format) {
  require(collection, "collection");
  const std::string name = required_text(path, "path");
  if (name.empty()) refuse("path: a document has a name");
  require_list(bytes, n_bytes, "bytes");
  const std::string_view content(n_bytes > 0 ? bytes : "", n_bytes);
  const std::string kind = format != nullptr ? format : detect_format(name, content);
  if (kind.empty())
    throw Error(ErrorCode::kUnsupported,
                name + ": its format cannot be told, or is none that is read; name one");
  const Document document = extract_text(content, kind, name, {});
  const std::lock_guard lock(collection->writing);
  return collection->collection->add(name, document);
}

const lectern_document* document_of(const DocumentInfo& info, Memory& memory) {
  auto* out = memory.take<lectern_document>();
  out->id = info.id;
  out->path = memory.text(info.path);
  out->title = memory.text(info.title);
  out->format = memory.text(info.format);
  out->language = memory.text(info.language);
  out->hash = memory.text(info.hash);
  out->text_bytes = info.text_bytes;
  out->n_passages = info.n_chunks;
  return out;
}

const lectern_documents* documents(const lectern_collection* collection) {
  require(collection, "collection");
  const std::vector<DocumentInfo> infos = collection->collection->documents();
  auto out = std::make_unique<Result<lectern_documents>>();
  auto** list = out->memory.take<const lectern_document*>(infos.size());
  for (const DocumentInfo& info : infos) list[out->n_documents++] = document_of(info, out->memory);
  out->documents = list;
  return out.release();
}

const lectern_text* text(const lectern_collection* collection, int64_t document_id, uint64_t begin,
                         uint64_t end) {
  require(collection, "collection");
  const std::string whole = collection->collection->text(document_id);
  const auto [first, last] = whole_characters(whole, begin, std::max(begin, end));
  auto out = std::make_unique<Result<lectern_text>>();
  out->begin = first;
  out->end = last;
  out->text_bytes = last - first;
  out->text = out->memory.text(std::string_view(whole).substr(first, last - first));
  out->document_bytes = whole.size();
  return out.release();
}

const lectern_stats* stats(const lectern_collection* collection) {
  require(collection, "collection");
  const CollectionStats numbers = collection->collection->stats();
  auto out = std::make_unique<Result<lectern_stats>>();
  out->path = out->memory.text(collection->path.string());
  out->n_documents = numbers.n_documents;
  out->n_passages = numbers.n_chunks;
  out->text_bytes = numbers.text_bytes;
  out->file_bytes = numbers.file_bytes;
  const std::vector<std::string> roots = collection->collection->roots();
  auto** folders = out->memory.take<const char*>(roots.size());
  for (const std::string& root : roots) folders[out->n_folders++] = out->memory.text(root);
  out->folders = folders;
  auto** languages = out->memory.take<const char*>(numbers.languages.size());
  for (const auto& [language, n] : numbers.languages)
    languages[out->n_languages++] = out->memory.text(language);
  out->languages = languages;
  return out.release();
}

const lectern_hits* search(const lectern_collection* collection, const char* query,
                           const lectern_search_options& options) {
  require(collection, "collection");
  const std::string words = required_text(query, "query");
  require_words(words, "query");
  require_list(options.documents, options.n_documents, "documents");
  const Stopwatch watch;
  const std::vector<SearchHit> found = collection->collection->search(
      {.queries = {{words, 1.0}},
       .limit = number_or(options.limit, 10, 1, kMaxHits, "limit"),
       .sections = true,
       .documents = {options.documents, options.documents + options.n_documents},
       .follow_names = options.follow_names != 0});
  std::vector<std::string> languages;
  for (const auto& [language, n] : collection->collection->stats().languages) languages.push_back(language);
  auto out = std::make_unique<Result<lectern_hits>>();
  auto** hits = out->memory.take<const lectern_hit*>(found.size());
  for (const SearchHit& hit : found) {
    const ByteRanges marked = highlights(words, hit.passage.text, languages);
    auto* entry = out->memory.take<lectern_hit>();
    entry->passage = passage_of(hit.passage, out->memory);
    entry->heading = out->memory.text(hit.heading_path);
    entry->score = hit.score;
    entry->n_highlights = marked.size();
    entry->highlights = ranges_of(marked, out->memory);
    hits[out->n_hits++] = entry;
  }
  out->hits = hits;
  out->seconds = watch.seconds();
  return out.release();
}

}  // namespace
}  // namespace lectern::capi

using namespace lectern::capi;

int lectern_collection_open(const char* path, lectern_collection** out) {
  return guarded_into(out, [&] { return open(required_text(path, "path"), {}); });
}

int lectern_collection_open_folder(const char* folder, lectern_collection** out) {
  return guarded_into(out, [&] { return open_folder(required_text(folder, "folder")); });
}

int lectern_collection_open_memory(lectern_collection** out) {
  return guarded_into(out, [] {
    auto opened = std::make_unique<lectern_collection>();
    opened->collection = lectern::Collection::open_in_memory();
    return opened.release();
  });
}

void lectern_collection_free(lectern_collection* collection) {
  if (collection == nullptr) return;
  const std::filesystem::path identity = collection->identity;
  delete collection;
  const std::lock_guard lock(open_mutex);
  if (const auto at = open_databases.find(identity); at != open_databases.end()) open_databases.erase(at);
}

int lectern_collection_delete(const char* path) {
  return guarded([&] { delete_database(required_text(path, "path")); });
}

int lectern_collection_index(lectern_collection* collection, const lectern_index_options* options,
                             const lectern_index_report** out) {
  const lectern_index_report* unwanted = nullptr;
  const int status = guarded_into(out != nullptr ? out : &unwanted, [&] {
    return index(collection, read_options(options, kFirstIndexOptions, "lectern_index_options"));
  });
  free_result(unwanted);
  return status;
}

void lectern_index_report_free(const lectern_index_report* report) {
  free_result(report);
}

int lectern_collection_add(lectern_collection* collection, const char* path, const char* bytes,
                           size_t n_bytes, const char* format, int64_t* document_id) {
  if (document_id != nullptr) *document_id = 0;
  return guarded([&] {
    const int64_t id = add(collection, path, bytes, n_bytes, format);
    if (document_id != nullptr) *document_id = id;
  });
}

int lectern_collection_remove(lectern_collection* collection, const char* path, int* n_removed) {
  if (n_removed != nullptr) *n_removed = 0;
  return guarded([&] {
    require(collection, "collection");
    const std::string name = required_text(path, "path");
    const std::lock_guard lock(collection->writing);
    const int n = collection->collection->remove(name);
    if (n_removed != nullptr) *n_removed = n;
  });
}

int lectern_collection_documents(const lectern_collection* collection, const lectern_documents** out) {
  return guarded_into(out, [&] { return documents(collection); });
}

void lectern_documents_free(const lectern_documents* documents) {
  free_result(documents);
}

int lectern_collection_text(const lectern_collection* collection, int64_t document_id, uint64_t begin,
                            uint64_t end, const lectern_text** out) {
  return guarded_into(out, [&] { return text(collection, document_id, begin, end); });
}

void lectern_text_free(const lectern_text* text) {
  free_result(text);
}

int lectern_collection_stats(const lectern_collection* collection, const lectern_stats** out) {
  return guarded_into(out, [&] { return stats(collection); });
}

void lectern_stats_free(const lectern_stats* stats) {
  free_result(stats);
}

int lectern_search(const lectern_collection* collection, const char* query,
                   const lectern_search_options* options, const lectern_hits** out) {
  return guarded_into(out, [&] {
    return search(collection, query, read_options(options, kFirstSearchOptions, "lectern_search_options"));
  });
}

void lectern_hits_free(const lectern_hits* hits) {
  free_result(hits);
}
