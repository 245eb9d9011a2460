// Decides what the model reads next: continuous batches of whatever runs, made anew for every step. A step is
// one forward pass (one more for each set of label rows) over
//   - a decode slice of every generation that has read its prompt, with the tokens guessed after it;
//   - parts of prompts, shared prefixes and score leaves, as many tokens as fit.
// How a token's result comes about does not depend on what else is in its batch, so nothing here changes a
// result: only when it comes.
//
// Shares of a step. A step is BackendOptions::prefill_chunk_tokens long, and an eighth of that while an
// interactive generation decodes: its reader gets a token a step (more where guesses are right). Interactive
// work comes first, but a quarter of the step is bulk work's where there is any. Within a class one half goes
// to who came first, the other to who has least left: the first is never starved, and a short prompt does not
// wait behind a long one. Steps are never so short that one of these shares comes to nothing.
//
// Memory. A request runs once the KV pages that it needs are free, or remembered only by the prefix cache, or
// held by requests that come after it; the others wait. A generation that grows into a full cache takes the
// pages of the last request, which is put back: it waits again and reads again what it had read. The order is
// oldest of all, interactive, bulk, each by arrival: the oldest of all always runs and is never put back, so
// every request becomes the oldest some day and ends. Where the pages do not suffice for the oldest alone, it
// lets go the beginnings that its sequences share, and reads them again when their turn comes.
//
// Common beginnings. A sequence that begins, for at least a page more than it holds, as one that is being
// read by an earlier request waits for that one and shares its pages.
//
// Not thread-safe: EngineThread runs it; tests step it by hand.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/cancel.h"
#include "engine/backend.h"
#include "engine/prefix_cache.h"
#include "engine/task.h"

namespace lectern {

class Scheduler {
 public:
  struct Stats {
    int64_t steps = 0;
    int64_t put_back = 0;
    int64_t shared_tokens = 0;  // taken from sequences that were still in use
  };
  // Called when the scheduler has let go of a task: with null, or with what went wrong.
  using Ended = std::function<void(std::exception_ptr error)>;

  // Both outlive the scheduler.
  Scheduler(Backend& backend, PrefixCache& cache) : backend_(backend), cache_(cache) {}

  // The task ends within a step after one of the tokens is set: `cancel` also ends a forward pass that only
  // this task takes part in. It must live until `ended` is called.
  void add(Task& task, const CancelToken& cancel, const CancelToken& withdrawn, Ended ended);
  // Lets those that wait run, as far as there is room. A step begins with it.
  void admit();
  // One step; false when there is nothing left to do. What a task throws, or a forward pass over its tokens,
  // ends this task only.
  bool step();
  // Ends all tasks with `error`.
  void fail_all(const std::exception_ptr& error);

  bool empty() const { return jobs_.empty(); }
  int n_waiting() const;
  const Stats& stats() const { return stats_; }

 private:
  struct Job {
    Task* task;
    Priority priority;
    int64_t number;  // in order of arrival
    CancelToken cancel, withdrawn;
    Ended ended;
    bool running = false;
    std::exception_ptr error;
    std::vector<Reading*> readings;  // of this step, as far as they were asked for
  };
  // Tokens of one reading in a batch.
  struct Slice {
    Job* job;
    Reading* reading;
    int n_tokens, n_rows;
  };

  void end_cancelled();
  void check_progress();
  void put_in_order();
  bool fits(size_t place, int n_free_pages) const;
  // Calls `work` unless the task has failed; what it throws is the task's failure.
  template <typename Work>
  void attempt(Job& job, const Work& work);
  void let_go_of_ended();

  Reading* fetch(Job& job, size_t i);
  void begin(Job& job, Reading& reading);

  void plan();
  int plan_decoding();
  int share_out(Priority priority, int n_tokens);
  int give(Job& job, int n_tokens);

  bool reserve();
  bool reserve(size_t place, Reading& reading);

  void read();
  void forward(std::span<const Slice> slices, std::span<const int32_t> label_rows);
  void hand_out(std::span<const Slice> slices);

  Backend& backend_;
  PrefixCache& cache_;
  std::vector<std::unique_ptr<Job>> jobs_;  // in the order of their rights to pages
  int64_t n_added_ = 0;
  int rows_left_ = 0;  // of logits in this step
  std::exception_ptr no_pages_;
  std::vector<float> logits_;
  Stats stats_;
};

}  // namespace lectern
