#include "engine/engine_thread.h"

#include "base/error.h"

namespace lectern {

std::optional<Ticket::Text> Ticket::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ended_ || !texts_.empty(); });
  if (texts_.empty()) return std::nullopt;
  Text text = std::move(texts_.front());
  texts_.pop_front();
  return text;
}

void Ticket::rethrow() {
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Ticket::push(Text text) {
  const std::lock_guard lock(mutex_);
  texts_.push_back(std::move(text));
  changed_.notify_one();
}

void Ticket::end(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  error_ = std::move(error);
  ended_ = true;
  changed_.notify_one();
}

EngineThread::EngineThread(Backend& backend, PrefixCache& cache, int max_waiting)
    : scheduler_(backend, cache), max_waiting_(max_waiting) {
  if (max_waiting < 1) {
    throw Error(ErrorCode::kInvalidArgument, "at least one request must be allowed to wait");
  }
  thread_ = std::thread([this] { loop(); });
}

EngineThread::~EngineThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    arrived_.notify_one();
  }
  thread_.join();
}

void EngineThread::submit(Task& task, const CancelToken& cancel, const std::shared_ptr<Ticket>& ticket) {
  const std::lock_guard lock(mutex_);
  const int n_waiting = n_waiting_ + static_cast<int>(arrivals_.size());
  if (n_waiting >= max_waiting_) {
    throw Error(ErrorCode::kResourceExhausted,
                std::to_string(n_waiting) +
                    " requests wait for the model already, which is the most allowed; "
                    "try again when some are done, or raise max_waiting_requests");
  }
  arrivals_.push_back({&task, cancel, ticket});
  arrived_.notify_one();
}

void EngineThread::run(Task& task, const CancelToken& cancel) {
  const auto ticket = std::make_shared<Ticket>();
  submit(task, cancel, ticket);
  while (ticket->next()) {
  }
  ticket->rethrow();
}

// Waits for something to do; false when there will be nothing more.
bool EngineThread::take_arrivals() {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [&] { return stop_ || !arrivals_.empty() || !scheduler_.empty(); });
  for (; !arrivals_.empty(); arrivals_.pop_front()) {
    const auto& [task, cancel, ticket] = arrivals_.front();
    scheduler_.add(*task, cancel, ticket->withdrawn_,
                   [ticket = ticket](std::exception_ptr error) { ticket->end(std::move(error)); });
  }
  scheduler_.admit();
  n_waiting_ = scheduler_.n_waiting();
  return !scheduler_.empty();
}

void EngineThread::loop() {
  while (true) {
    try {
      if (!take_arrivals()) return;
      scheduler_.step();
    } catch (...) {
      // Memory that ran out, or a mistake of ours: the requests at hand fail, the thread goes on.
      scheduler_.fail_all(std::current_exception());
    }
  }
}

}  // namespace lectern
