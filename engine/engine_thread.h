// The one thread that uses backend, KV pages and prefix cache, and how requests get to it and their text
// back.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "engine/scheduler.h"

namespace lectern {

// What a caller holds of its request: text comes out of it until the engine thread has let go of the task.
// As much text waits in it as the request has tokens: a slow reader holds up nobody.
class Ticket {
 public:
  struct Text {
    std::string text;
    int n_tokens = 0;         // of which all text so far is
    int n_prompt_tokens = 0;  // have been read; above 0 there is no text
  };

  // The caller: the next text, waiting for it; none when the engine thread has let go of the task.
  std::optional<Text> next();
  // The caller: ends the request within a step.
  void withdraw() { withdrawn_.cancel(); }
  // The caller, once, after next() gave none: throws what the task has failed with. The exception is this
  // thread's then, the last to hold it included. (ThreadSanitizer cannot see the reference count, which lies
  // in libstdc++.so, and would take the engine thread's letting go of it for a race.)
  void rethrow();

  // The engine thread.
  void push(Text text);

 private:
  friend class EngineThread;
  void end(std::exception_ptr error);

  CancelToken withdrawn_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Text> texts_;
  bool ended_ = false;
  std::exception_ptr error_;
};

// submit() and run() may be called from any thread. Destroyed only after all calls have returned.
class EngineThread {
 public:
  // `max_waiting`, at least 1: requests that may wait while others run. Backend and cache outlive it.
  EngineThread(Backend& backend, PrefixCache& cache, int max_waiting);
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  // The task belongs to the engine thread until the ticket has ended. Throws Error(kResourceExhausted) when
  // too many wait.
  void submit(Task& task, const CancelToken& cancel, const std::shared_ptr<Ticket>& ticket);
  // Submits a task that has no text, and waits for its end; throws what it has failed with.
  void run(Task& task, const CancelToken& cancel);

 private:
  struct Arrival {
    Task* task;
    CancelToken cancel;
    std::shared_ptr<Ticket> ticket;
  };

  void loop();
  bool take_arrivals();

  Scheduler scheduler_;  // the engine thread's
  const int max_waiting_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Arrival> arrivals_;
  int n_waiting_ = 0;  // of those that the scheduler has
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lectern
