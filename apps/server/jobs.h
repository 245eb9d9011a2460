// Indexing in the background: one thread does one job after the other, and anyone may watch. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/cancel.h"
#include "base/json.h"
#include "base/progress.h"

namespace lectern::server {

struct Job {
  enum class State { kRunning, kDone, kFailed, kCancelled };  // one that waits for its turn counts as running

  std::string id, collection;
  State state = State::kRunning;
  uint64_t done = 0, total = 0;  // total 0: not known yet
  std::string unit = "files";
  std::string message;   // what it is at, or why it failed
  Json report;           // of one that is done
  uint64_t version = 0;  // counts its changes

  bool ended() const { return state != State::kRunning; }
};
Json to_json(const Job& job);

class Jobs {
 public:
  // Returns the job's report; throws Error.
  using Work = std::function<Json(const ProgressFn&, const CancelToken&)>;

  Jobs();
  ~Jobs();  // cancels what is under way
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  // A collection has one job at a time: when one has not ended, that one is returned. `afresh`: one that has
  // begun does not count, as it may have missed what is new; the new job waits behind it.
  Job start(const std::string& collection, Work work, bool afresh = false);
  std::optional<Job> find(const std::string& id) const;
  std::optional<std::string> running(const std::string& collection) const;  // the id of its job
  void cancel(const std::string& id);
  // Waits until the job's version is no longer `version`, at most so long; the job as it is then.
  std::optional<Job> wait(const std::string& id, uint64_t version, std::chrono::milliseconds most) const;

 private:
  struct Entry {
    Job job;
    Work work;
    CancelToken cancel;
    bool begun = false;
  };

  void work_off();
  void run(const std::string& id);
  template <typename Change>
  void change(const std::string& id, Change apply);

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::map<std::string, Entry> entries_;
  std::map<uint64_t, std::string> waiting_;  // by number
  uint64_t n_started_ = 0;
  bool stop_ = false;
  std::thread worker_;
};

}  // namespace lectern::server
