#include "apps/server/model_host.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include <sys/stat.h>
#include <unistd.h>

#include "apps/server/http.h"
#include "models/registry.h"

namespace lectern::server {
namespace {

namespace fs = std::filesystem;

uint64_t physical_memory() {
  return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
}

uint64_t bytes_at(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    const uint64_t size = fs::file_size(path, error);
    return error ? 0 : size;
  }
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const uint64_t size = entry.file_size(error);
    if (!error) bytes += size;
  }
  return bytes;
}

int64_t modified_at(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mtime : 0;
}

bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return fs::equivalent(a, b, error);
}

}  // namespace

ModelHost::ModelHost(ModelHostOptions options) : options_(std::move(options)) {
  if (options_.default_model.empty()) options_.default_model = std::string(default_model_id());
  if (options_.max_bytes == 0) options_.max_bytes = physical_memory() / 4 * 3;
  const ModelEntry* entry = find_model(options_.default_model);
  default_id_ = entry != nullptr ? entry->id : fs::path(options_.default_model).stem().string();
  if (!options_.helper_model.empty()) find_helper();
}

// By its path where the registry has no name for the file: others may have the same stem.
void ModelHost::find_helper() {
  helper_path_ = resolve_model(options_.helper_model).string();
  helper_id_ = helper_path_;
  for (const ModelEntry& entry : registry())
    if (is_installed(entry) && same_file(model_path(entry), helper_path_)) helper_id_ = entry.id;
  const std::vector<ModelInfo> models = list();  // the default model is not among them while it is not pulled
  const auto main =
      std::find_if(models.begin(), models.end(), [](const ModelInfo& info) { return info.is_default; });
  if (main == models.end() || same_file(path_of(default_id_), helper_path_)) return;
  if (main->bytes + bytes_at(helper_path_) > options_.max_bytes) {
    throw Error(
        ErrorCode::kResourceExhausted,
        "the model and the helper do not fit the memory for models together: raise --model-memory, or leave "
        "--helper-model out");
  }
}

std::string ModelHost::full_id(const std::string& id) const {
  if (id.empty() || id == default_id_) return default_id_;
  const ModelEntry* entry = find_model(id);  // in any case, without its suffix
  return entry != nullptr ? entry->id : id;
}

std::string ModelHost::check(const std::string& id) const {
  std::string full = full_id(id);
  path_of(full);
  return full;
}

std::string ModelHost::path_of(const std::string& id) const {
  if (id == default_id_) return resolve_model(options_.default_model).string();
  // Only what the registry names: a request must not choose a file.
  const ModelEntry* entry = find_model(id);
  if (entry == nullptr || !is_installed(*entry))
    throw HttpError(404, "there is no model \"" + id + "\" here; GET /v1/models lists what is",
                    "model_not_found", "model");
  return model_path(*entry).string();
}

std::vector<ModelInfo> ModelHost::list() const {
  std::vector<ModelInfo> out;
  const auto add = [&](const std::string& id, const fs::path& path) {
    ModelInfo info{.id = id, .bytes = bytes_at(path), .modified = modified_at(path)};
    info.is_default = id == default_id_;
    const std::lock_guard lock(mutex_);
    info.loaded = slots_.contains(id);
    out.push_back(std::move(info));
  };
  try {
    add(default_id_, resolve_model(options_.default_model));
  } catch (const Error&) {
    // Not pulled yet: asking for it says how.
  }
  for (const ModelEntry& entry : registry())
    if (entry.id != default_id_ && is_installed(entry)) add(entry.id, model_path(entry));
  return out;
}

void ModelHost::take_turn(const CancelToken& cancel) {
  std::unique_lock lock(mutex_);
  if (running_ >= options_.max_questions && waiting_ >= options_.max_waiting)
    throw HttpError(503, "too many questions wait already", "overloaded");
  ++waiting_;
  while (running_ >= options_.max_questions && !cancel.cancelled())
    turn_.wait_for(lock, std::chrono::milliseconds(50));
  --waiting_;
  cancel.throw_if_cancelled();
  ++running_;
}

ModelHost::Lease ModelHost::acquire(const std::string& id, const ProgressFn& progress,
                                    const CancelToken& cancel, Beside beside) {
  const std::string wanted = full_id(id);
  const std::string path = path_of(wanted);
  const bool with_helper =
      beside == Beside::kHelper && !helper_path_.empty() && !same_file(path, helper_path_);
  take_turn(cancel);
  Slot *slot = nullptr, *helper = nullptr;
  try {
    const std::lock_guard loading(load_mutex_);
    slot = take(wanted, path, progress, cancel);
    if (with_helper) helper = take_helper(progress, cancel);
    return {this, slot, helper};
  } catch (...) {
    release(slot, helper);
    throw;
  }
}

// With load_mutex_ held. Null where the models in use leave no room: the one asked for then does without.
ModelHost::Slot* ModelHost::take_helper(const ProgressFn& progress, const CancelToken& cancel) {
  try {
    return take(helper_id_, helper_path_, progress, cancel);
  } catch (const HttpError& error) {
    if (error.reply().status != 503) throw;
    return nullptr;
  }
}

// With load_mutex_ held. Loads the model where it is not.
ModelHost::Slot* ModelHost::take(const std::string& id, const std::string& path, const ProgressFn& progress,
                                 const CancelToken& cancel) {
  const auto loaded = [&]() -> Slot* {
    const std::lock_guard lock(mutex_);
    const auto found = slots_.find(id);
    if (found == slots_.end()) return nullptr;
    ++found->second->users;
    return found->second.get();
  };
  if (Slot* slot = loaded()) return slot;
  cancel.throw_if_cancelled();
  auto slot = std::make_unique<Slot>();
  slot->loaded.id = id;
  slot->loaded.bytes = bytes_at(path);
  make_room(slot->loaded.bytes);
  slot->loaded.engine = Engine::load(path,
                                     {.backend = options_.backend,
                                      .extension = options_.extension,
                                      .device = options_.device,
                                      .sparse_config = id == default_id_ ? options_.sparse_config : ""},
                                     cancellable(progress, cancel));
  slot->loaded.model = std::make_unique<SharedLanguageModel>(*slot->loaded.engine, id);
  slot->last_used = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    slots_.emplace(id, std::move(slot));
  }
  return loaded();
}

// With load_mutex_ held. The models that nobody uses go, the one unused for longest first.
void ModelHost::make_room(uint64_t bytes) {
  for (;;) {
    std::unique_ptr<Slot> victim;
    {
      const std::lock_guard lock(mutex_);
      uint64_t used = 0;
      auto oldest = slots_.end();
      for (auto at = slots_.begin(); at != slots_.end(); ++at) {
        used += at->second->loaded.bytes;
        if (at->second->users > 0) continue;
        if (oldest == slots_.end() || at->second->last_used < oldest->second->last_used) oldest = at;
      }
      if (used + bytes <= options_.max_bytes || slots_.empty()) return;
      if (oldest == slots_.end())
        throw HttpError(503, "the models in use leave no room for another", "overloaded", "model");
      victim = std::move(oldest->second);
      slots_.erase(oldest);
    }
  }
}

void ModelHost::release(Slot* slot, Slot* helper) {
  {
    const std::lock_guard lock(mutex_);
    --running_;
    for (Slot* used : {slot, helper}) {
      if (used == nullptr) continue;
      --used->users;
      used->last_used = std::chrono::steady_clock::now();
    }
  }
  turn_.notify_one();
}

void ModelHost::unload_idle() {
  const std::lock_guard loading(load_mutex_);
  std::vector<std::unique_ptr<Slot>> victims;
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  for (auto at = slots_.begin(); at != slots_.end();) {
    const std::chrono::duration<double> idle = now - at->second->last_used;
    if (at->second->users == 0 && idle.count() > options_.idle_seconds) {
      victims.push_back(std::move(at->second));
      at = slots_.erase(at);
    } else {
      ++at;
    }
  }
}

}  // namespace lectern::server
