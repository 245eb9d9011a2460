#include "retrieval/collection_index.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <new>
#include <set>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "retrieval/analyzer.h"
#include "retrieval/chunker.h"
#include "retrieval/index_writer.h"
#include "retrieval/walk.h"

namespace lectern {
namespace {

constexpr size_t kMaxBatchDocuments = 1000;
constexpr double kProgressSeconds = 0.05;
constexpr const char* kMemoryPrefix = "memory:";

std::string hash_of_file(const std::filesystem::path& path, const CancelToken& cancel) {
  std::ifstream file(path, std::ios::binary);
  std::string buffer(1 << 20, '\0');
  Sha256 hash;
  while (file.good()) {
    cancel.throw_if_cancelled();
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    hash.update(std::string_view(buffer.data(), static_cast<size_t>(file.gcount())));
  }
  if (!file.eof()) throw Error(ErrorCode::kIo, path.string() + ": cannot be read");
  return hash.hex_digest();
}

// What a document has of its own, whatever file it came from.
void fill(StoredDocument& stored, const Document& document) {
  stored.title = utf8::repair(document.title);
  stored.format = document.format;
  stored.language = guess_language(document.text);
  stored.text_hash = sha256_hex(document.text);
  stored.aliases = document.aliases;
  stored.tags = document.tags;
  stored.links = document.links;
  stored.warnings = document.warnings;
}

// Another analysis than the one that made the index: its segments are made again from the stored texts, in
// one transaction.
void refresh_analysis(WriteSession& session, IndexWriter& writer, const CancelToken& cancel) {
  if (session.analyzer_version() == Analyzer::version()) return;
  std::vector<StoredDocument> documents = session.documents();
  std::sort(documents.begin(), documents.end(),
            [](const StoredDocument& a, const StoredDocument& b) { return a.first_chunk < b.first_chunk; });
  session.begin();
  writer.drop_segments();
  for (const StoredDocument& document : documents) {
    cancel.throw_if_cancelled();
    writer.reanalyze(document);
  }
  writer.flush();
  session.set_analyzer_version(Analyzer::version());
  session.commit();
  writer.clean();
  writer.merge(true, cancel);
}

// Would the file give another document under its new name? Titles may come from the name, formats from the
// extension.
bool name_matters(const StoredDocument& document, const std::string& new_file) {
  const std::filesystem::path before(document.file), after(new_file);
  if (before.filename() == after.filename()) return false;
  if (before.extension() != after.extension()) return true;
  const std::string stem = utf8::repair(before.stem().string());
  return document.title.empty() || stem.find(document.title) != std::string::npos ||
         document.title.find(stem) != std::string::npos;
}

class Indexer {
 public:
  Indexer(Store& store, const IndexOptions& options, const ProgressFn& progress, const CancelToken& cancel)
      : store_(store),
        options_(options),
        progress_(progress),
        cancel_(cancel),
        session_(store.write()),
        writer_(*session_) {}

  IndexReport run(std::span<const std::filesystem::path> roots);

 private:
  // A file read, to replace a document or to be a new one.
  struct Read {
    StoredDocument stored;
    Document document;
    std::optional<StoredDocument> replaced;
  };
  struct Batch {
    std::vector<Read> read;
    std::vector<StoredDocument> moved;  // new place of an unchanged content
    std::vector<SkippedFile> skipped;
    uint64_t text_bytes = 0;
    size_t size() const { return read.size() + moved.size() + skipped.size(); }
  };

  void load_known(std::span<const std::filesystem::path> roots, const FoundFiles& found);
  void visit(const FoundFile& file);
  bool take_unchanged(const FoundFile& file, const std::string& name);
  bool take_same_content(const FoundFile& file, const std::string& name);
  void read_file(const FoundFile& file, const std::string& name);
  void warn(const std::string& path, const std::string& reason, bool known) {
    report_.warnings.push_back({path, reason, known});
  }
  void warn_of(const StoredDocument& document, bool known) {
    for (const std::string& warning : document.warnings) warn(document.path, warning, known);
  }
  void commit_batch();
  void remove_gone();
  void tell(const std::string& item, bool always = false);

  Store& store_;
  const IndexOptions& options_;
  const ProgressFn& progress_;
  const CancelToken& cancel_;
  std::unique_ptr<WriteSession> session_;
  IndexWriter writer_;

  // Below the roots, by file.
  std::map<std::string, StoredDocument> known_;  // files that are there
  std::map<std::string, StoredDocument> gone_;   // files that are not, or cannot be read any more
  std::multimap<uint64_t, std::string> gone_by_size_;
  std::map<std::string, SkippedFile> skipped_;
  std::vector<std::string> forgotten_;  // skipped files that are gone
  Batch batch_;
  IndexReport report_;
  Progress done_;
  Stopwatch since_told_;
};

IndexReport Indexer::run(std::span<const std::filesystem::path> roots) {
  const Stopwatch watch;
  writer_.clean();
  refresh_analysis(*session_, writer_, cancel_);
  FoundFiles found = find_files(roots, options_.follow_ignore_files, cancel_);
  std::erase_if(found.files, [&](const FoundFile& file) { return store_.owns(file.path); });
  report_.warnings = std::move(found.warnings);
  load_known(roots, found);
  done_.stage = "indexing";
  done_.items_total = found.files.size();
  for (const FoundFile& file : found.files) done_.bytes_total += file.size;
  try {
    for (const FoundFile& file : found.files) {
      cancel_.throw_if_cancelled();
      tell(file.relative);
      visit(file);
      ++done_.items_done;
      done_.bytes_done += file.size;
      if (batch_.text_bytes >= options_.batch_bytes || batch_.size() >= kMaxBatchDocuments) commit_batch();
    }
    commit_batch();
    remove_gone();
    writer_.merge(true, cancel_);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled && !session_->active())
      commit_batch();  // what was read is kept
    throw;
  }
  tell("", true);
  report_.seconds = watch.seconds();
  return std::move(report_);
}

void Indexer::load_known(std::span<const std::filesystem::path> roots, const FoundFiles& found) {
  std::set<std::string> there;
  for (const FoundFile& file : found.files) there.insert(file.path.string());
  for (const auto& root : roots) {
    const std::string real = std::filesystem::canonical(root).string();
    for (StoredDocument& document : session_->documents_below(real)) {
      auto& documents = there.contains(document.file) ? known_ : gone_;
      documents[document.file] = std::move(document);
    }
    for (SkippedFile& file : session_->skipped_below(real)) {
      if (!there.contains(file.file)) forgotten_.push_back(file.file);
      skipped_[file.file] = std::move(file);
    }
  }
  for (const auto& [name, document] : gone_) gone_by_size_.emplace(document.file_bytes, name);
}

void Indexer::visit(const FoundFile& file) {
  const std::string name = file.path.string();
  if (take_unchanged(file, name) || take_same_content(file, name)) return;
  read_file(file, name);
}

bool Indexer::take_unchanged(const FoundFile& file, const std::string& name) {
  if (const auto known = known_.find(name); known != known_.end() && known->second.file_bytes == file.size &&
                                            known->second.mtime_ns == file.mtime_ns) {
    warn_of(known->second, /*known=*/true);
    ++report_.unchanged;
    return true;
  }
  if (const auto bad = skipped_.find(name);
      bad != skipped_.end() && bad->second.file_bytes == file.size && bad->second.mtime_ns == file.mtime_ns) {
    warn(file.relative, bad->second.reason, /*known=*/true);
    return true;
  }
  return false;
}

// A file whose bytes we know: touched, or moved from a place where it no longer is.
bool Indexer::take_same_content(const FoundFile& file, const std::string& name) {
  const auto known = known_.find(name);
  const bool may_be_touched = known != known_.end() && known->second.file_bytes == file.size;
  const auto [first, last] = gone_by_size_.equal_range(file.size);
  if (!may_be_touched && (known != known_.end() || first == last)) return false;
  std::string hash;
  try {
    hash = hash_of_file(file.path, cancel_);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    return false;  // reading it will tell why
  }
  report_.bytes_read += file.size;
  const auto moved_to_here = [&](StoredDocument document) {
    document.file = name;
    document.path = file.relative;
    document.mtime_ns = file.mtime_ns;
    warn_of(document, /*known=*/true);
    batch_.moved.push_back(std::move(document));
  };
  if (may_be_touched) {
    if (known->second.file_hash != hash) return false;
    moved_to_here(known->second);
    ++report_.unchanged;
    return true;
  }
  for (auto gone = first; gone != last; ++gone) {
    const StoredDocument& document = gone_.at(gone->second);
    if (document.file_hash != hash || name_matters(document, name)) continue;
    moved_to_here(document);
    gone_.erase(gone->second);
    gone_by_size_.erase(gone);
    ++report_.renamed;
    return true;
  }
  return false;
}

void Indexer::read_file(const FoundFile& file, const std::string& name) {
  Read read;
  if (const auto known = known_.find(name); known != known_.end()) read.replaced = known->second;
  const auto skip = [&](std::string reason, bool remember) {
    // The warning itself names the file.
    if (const std::string prefix = display_name(file.path) + ": "; reason.starts_with(prefix))
      reason.erase(0, prefix.size());
    warn(file.relative, reason, /*known=*/false);
    if (read.replaced) gone_[name] = *read.replaced;  // it is no longer what the file says
    // Permissions change without a trace in size or time: such files are tried again.
    if (remember) batch_.skipped.push_back({name, file.relative, file.size, file.mtime_ns, reason});
  };
  try {
    read.document = extract_file(file.path, options_.limits, cancel_);
    read.stored.file_hash = hash_of_file(file.path, cancel_);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    return skip(error.what(), error.code() != ErrorCode::kIo && error.code() != ErrorCode::kNotFound);
  } catch (const std::bad_alloc&) {
    return skip("out of memory while reading it", false);
  }
  report_.bytes_read += file.size;
  read.stored.file = name;
  read.stored.path = file.relative;
  read.stored.file_bytes = file.size;
  read.stored.mtime_ns = file.mtime_ns;
  fill(read.stored, read.document);
  warn_of(read.stored, /*known=*/false);
  batch_.text_bytes += read.document.text.size();
  ++(read.replaced ? report_.changed : report_.added);
  batch_.read.push_back(std::move(read));
}

void Indexer::commit_batch() {
  if (batch_.size() == 0) return;
  session_->begin();
  for (const Read& read : batch_.read)
    if (read.replaced) writer_.remove(*read.replaced);
  for (const StoredDocument& document : batch_.moved) session_->update_file(document);
  for (const SkippedFile& file : batch_.skipped) session_->set_skipped(file);
  for (Read& read : batch_.read) {
    writer_.add(read.stored, read.document.text, chunk_document(read.document));
    if (skipped_.contains(read.stored.file)) session_->remove_skipped(read.stored.file);
  }
  writer_.flush();
  session_->commit();
  batch_ = {};
  writer_.merge(false, cancel_);
}

void Indexer::remove_gone() {
  for (auto next = gone_.begin(); next != gone_.end();) {
    cancel_.throw_if_cancelled();
    session_->begin();
    for (size_t i = 0; i < kMaxBatchDocuments && next != gone_.end(); ++i, ++next) {
      writer_.remove(next->second);
      ++report_.removed;
    }
    session_->commit();
  }
  if (forgotten_.empty()) return;
  session_->begin();
  for (const std::string& file : forgotten_) session_->remove_skipped(file);
  session_->commit();
}

void Indexer::tell(const std::string& item, bool always) {
  if (!progress_ || (!always && since_told_.seconds() < kProgressSeconds)) return;
  since_told_ = Stopwatch();
  done_.item = item;
  progress_(done_);
}

}  // namespace

IndexReport index_files(Store& store, std::span<const std::filesystem::path> roots,
                        const IndexOptions& options, const ProgressFn& progress, const CancelToken& cancel) {
  return Indexer(store, options, progress, cancel).run(roots);
}

int64_t add_to_store(Store& store, const std::string& path, const Document& document) {
  const auto session = store.write();
  IndexWriter writer(*session);
  refresh_analysis(*session, writer, CancelToken());
  StoredDocument stored;
  stored.file = kMemoryPrefix + path;
  stored.path = path;
  fill(stored, document);
  session->begin();
  if (const auto replaced = session->find_file(stored.file)) writer.remove(*replaced);
  writer.add(stored, document.text, chunk_document(document));
  writer.flush();
  session->commit();
  writer.merge(false, CancelToken());
  return stored.id;
}

int remove_from_store(Store& store, const std::string& path) {
  const auto session = store.write();
  std::map<int64_t, StoredDocument> documents;
  for (StoredDocument& document : session->documents_at(path)) documents[document.id] = std::move(document);
  std::error_code error;
  const auto real = std::filesystem::weakly_canonical(path, error);
  if (!error && real.is_absolute())
    for (StoredDocument& document : session->documents_below(real.string()))
      documents[document.id] = std::move(document);
  if (documents.empty()) return 0;
  IndexWriter writer(*session);
  session->begin();
  for (const auto& [id, document] : documents) writer.remove(document);
  session->commit();
  writer.clean();
  return static_cast<int>(documents.size());
}

}  // namespace lectern
