// The models of a server: loaded when first asked for, unloaded when nobody has used them for a while or when
// another needs the room. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apps/common/shared_language_model.h"
#include "base/cancel.h"
#include "base/progress.h"
#include "engine/engine.h"

namespace lectern::server {

struct ModelHostOptions {
  std::string default_model;  // an id, or the path of a file or folder
  std::string helper_model;  // likewise, for the cheap calls of questions; "": the model asked for makes them
  BackendOptions backend;
  ContextExtension extension = ContextExtension::kNone;
  Device device;
  std::string sparse_config;  // as Engine::Options, of the default model
  uint64_t max_bytes = 0;     // of the files of all loaded models; 0: three quarters of the memory
  double idle_seconds = 900;  // then a model is unloaded
  size_t max_questions = 4;   // that are answered at a time; the engine reads them together
  size_t max_waiting = 32;    // for a turn; one more is refused
};

struct LoadedModel {
  std::string id;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<SharedLanguageModel> model;
  uint64_t bytes = 0;
};

struct ModelInfo {
  std::string id;
  uint64_t bytes = 0;    // of its files
  int64_t modified = 0;  // seconds since 1970
  bool loaded = false;
  bool is_default = false;
};

class ModelHost {
 public:
  // Throws Error(kNotFound) for a helper that is not there, Error(kResourceExhausted) for one that has no
  // room beside the default model.
  explicit ModelHost(ModelHostOptions options);

  // The default model and the installed ones of the registry.
  std::vector<ModelInfo> list() const;
  const std::string& default_id() const { return default_id_; }
  double idle_seconds() const { return options_.idle_seconds; }

  // A model that stays loaded while it is held, and a turn: at most max_questions are held at a time. `id`:
  // one of list(), "": the default. Loads it with progress. Throws HttpError: 404 for a model that is not
  // there, 503 when too many wait or it does not fit beside those in use; Error(kCancelled).
  // `beside`: whether the helper model is to be loaded with it, if there is room.
  class Lease;
  enum class Beside { kNothing, kHelper };
  // The full id of a model that is there; throws as acquire does. Loads nothing.
  std::string check(const std::string& id) const;
  Lease acquire(const std::string& id, const ProgressFn& progress, const CancelToken& cancel,
                Beside beside = Beside::kNothing);

  void unload_idle();

 private:
  struct Slot {
    LoadedModel loaded;
    int users = 0;
    std::chrono::steady_clock::time_point last_used;
  };

  std::string full_id(const std::string& id) const;
  std::string path_of(const std::string& id) const;
  void take_turn(const CancelToken& cancel);
  void find_helper();
  Slot* take_helper(const ProgressFn& progress, const CancelToken& cancel);
  Slot* take(const std::string& id, const std::string& path, const ProgressFn& progress,
             const CancelToken& cancel);
  void make_room(uint64_t bytes);
  void release(Slot* slot, Slot* helper);

  ModelHostOptions options_;
  std::string default_id_, helper_id_, helper_path_;
  std::mutex load_mutex_;  // one load at a time; before mutex_
  mutable std::mutex mutex_;
  std::condition_variable turn_;
  size_t running_ = 0, waiting_ = 0;
  std::map<std::string, std::unique_ptr<Slot>> slots_;
};

class ModelHost::Lease {
 public:
  Lease(ModelHost* host, Slot* slot, Slot* helper) : host_(host), slot_(slot), helper_(helper) {}
  Lease(Lease&& other) noexcept
      : host_(other.host_),
        slot_(std::exchange(other.slot_, nullptr)),
        helper_(std::exchange(other.helper_, nullptr)) {}
  Lease& operator=(Lease&&) = delete;
  ~Lease() {
    if (slot_ != nullptr) host_->release(slot_, helper_);
  }
  Engine& engine() const { return *slot_->loaded.engine; }
  LanguageModel& model() const { return *slot_->loaded.model; }
  // For the cheap calls: the model itself where no helper was asked for, or there is none.
  LanguageModel& helper() const { return helper_ != nullptr ? *helper_->loaded.model : model(); }
  const std::string& id() const { return slot_->loaded.id; }

 private:
  ModelHost* host_;
  Slot* slot_;
  Slot* helper_;
};

}  // namespace lectern::server
