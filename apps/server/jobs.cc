#include "apps/server/jobs.h"

#include "base/error.h"

namespace lectern::server {
namespace {

constexpr size_t kMaxKept = 100;  // jobs that can be asked about

std::string_view name_of(Job::State state) {
  switch (state) {
    case Job::State::kRunning:
      return "running";
    case Job::State::kDone:
      return "done";
    case Job::State::kFailed:
      return "failed";
    case Job::State::kCancelled:
      return "cancelled";
  }
  return "";
}

}  // namespace

Json to_json(const Job& job) {
  return {
      {"id", job.id},           {"collection", job.collection}, {"state", std::string(name_of(job.state))},
      {"done", job.done},       {"total", job.total},           {"unit", job.unit},
      {"message", job.message}, {"report", job.report}};
}

Jobs::Jobs() : worker_([this] { work_off(); }) {}

Jobs::~Jobs() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    for (auto& [id, entry] : entries_) entry.cancel.cancel();
  }
  changed_.notify_all();
  worker_.join();
}

Job Jobs::start(const std::string& collection, Work work, bool afresh) {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : entries_)
    if (entry.job.collection == collection && !entry.job.ended() && !entry.cancel.cancelled() &&
        !(afresh && entry.begun))
      return entry.job;
  for (auto at = entries_.begin(); at != entries_.end() && entries_.size() >= kMaxKept;)
    at = at->second.job.ended() ? entries_.erase(at) : std::next(at);
  Entry entry;
  const uint64_t number = ++n_started_;
  entry.job.id = "job-" + std::to_string(number);
  entry.job.collection = collection;
  entry.job.message = "waiting";
  entry.work = std::move(work);
  waiting_.emplace(number, entry.job.id);
  const Job job = entry.job;
  entries_.emplace(job.id, std::move(entry));
  changed_.notify_all();
  return job;
}

std::optional<Job> Jobs::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  return found == entries_.end() ? std::nullopt : std::optional(found->second.job);
}

std::optional<std::string> Jobs::running(const std::string& collection) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : entries_)
    if (entry.job.collection == collection && !entry.job.ended()) return id;
  return std::nullopt;
}

void Jobs::cancel(const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (const auto found = entries_.find(id); found != entries_.end()) found->second.cancel.cancel();
}

std::optional<Job> Jobs::wait(const std::string& id, uint64_t version, std::chrono::milliseconds most) const {
  std::unique_lock lock(mutex_);
  const auto moved_on = [&] {
    const auto found = entries_.find(id);
    return stop_ || found == entries_.end() || found->second.job.version != version;
  };
  changed_.wait_for(lock, most, moved_on);
  const auto found = entries_.find(id);
  return found == entries_.end() ? std::nullopt : std::optional(found->second.job);
}

void Jobs::work_off() {
  for (;;) {
    std::string id;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
      if (stop_) return;
      id = waiting_.begin()->second;
      waiting_.erase(waiting_.begin());
    }
    run(id);
  }
}

template <typename Change>
void Jobs::change(const std::string& id, Change apply) {
  {
    const std::lock_guard lock(mutex_);
    Job& job = entries_.at(id).job;  // one that has not ended is never dropped
    ++job.version;
    apply(job);
  }
  changed_.notify_all();
}

void Jobs::run(const std::string& id) {
  Work work;
  CancelToken cancel;
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_.at(id);
    work = std::move(entry.work);
    entry.begun = true;
    cancel = entry.cancel;
  }
  const auto end = [&](Job::State state, const std::string& message, Json report = nullptr) {
    change(id, [&](Job& job) {
      job.state = state;
      job.message = message;
      job.report = std::move(report);
    });
  };
  try {
    cancel.throw_if_cancelled();
    const auto on_progress = [&](const Progress& progress) {
      change(id, [&](Job& job) {
        const bool bytes = progress.items_total == 0 && progress.bytes_total > 0;
        job.done = bytes ? progress.bytes_done : progress.items_done;
        job.total = bytes ? progress.bytes_total : progress.items_total;
        job.unit = bytes ? "bytes" : "files";
        job.message = progress.item.empty() ? progress.stage : progress.stage + " " + progress.item;
      });
    };
    Json report = work(on_progress, cancel);
    end(Job::State::kDone, "done", std::move(report));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) {
      end(Job::State::kCancelled, "cancelled; what was read is kept");
    } else {
      end(Job::State::kFailed, error.what());
    }
  } catch (const std::exception& error) {
    end(Job::State::kFailed, std::string("internal error: ") + error.what());
  }
}

}  // namespace lectern::server
