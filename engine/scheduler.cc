#include "engine/scheduler.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "base/error.h"

namespace lectern {
namespace {

// Of one class; the others wait. Bounds what a step costs besides its tokens.
constexpr int kMaxRunning = 32;
// So many are looked at and found too large for the pages that are free, in one step.
constexpr int kMaxMisfits = 32;
// A generation with no more than this left to read decodes: it takes part in every step.
constexpr int kMaxDecodeTokens = 16;
// The part of a step's tokens that prompts get while somebody reads an answer that is being written: an
// eighth of 512 tokens is a short step in which the weights still meet many tokens.
constexpr int kShareWhileStreaming = 8;
constexpr int kBulkShare = 4;  // bulk work gets a quarter at least
// Prompts get no less, however short the steps: a token for bulk work, and for interactive work one more for
// who has least left than for who came first.
constexpr int kLeastTokens = 4;
// Of logits held at a time.
constexpr size_t kMaxLogitsBytes = size_t{64} << 20;

int pages_for(int n_tokens) {
  return (n_tokens + kKvPageTokens - 1) / kKvPageTokens;
}

}  // namespace

void Scheduler::add(Task& task, const CancelToken& cancel, const CancelToken& withdrawn, Ended ended) {
  jobs_.push_back(std::make_unique<Job>(Job{.task = &task,
                                            .priority = task.priority(),
                                            .number = n_added_++,
                                            .cancel = cancel,
                                            .withdrawn = withdrawn,
                                            .ended = std::move(ended),
                                            .error = nullptr,
                                            .readings = {}}));
}

int Scheduler::n_waiting() const {
  return static_cast<int>(std::ranges::count_if(jobs_, [](const auto& job) { return !job->running; }));
}

bool Scheduler::step() {
  end_cancelled();
  if (jobs_.empty()) return false;
  admit();
  for (const auto& job : jobs_) job->readings.clear();
  for (const auto& job : jobs_) {
    if (job->running) fetch(*job, 0);
  }
  plan();
  if (reserve()) {
    read();
    ++stats_.steps;
  } else {
    check_progress();
  }
  let_go_of_ended();
  return !jobs_.empty();
}

void Scheduler::fail_all(const std::exception_ptr& error) {
  for (const auto& job : jobs_) job->error = error;
  let_go_of_ended();
}

// -- who takes part -----------------------------------------------------------------------------------------

template <typename Work>
void Scheduler::attempt(Job& job, const Work& work) {
  if (job.error) return;
  try {
    work();
  } catch (...) {
    job.error = std::current_exception();
  }
}

void Scheduler::end_cancelled() {
  for (const auto& job : jobs_) {
    if (!job->cancel.cancelled() && !job->withdrawn.cancelled()) continue;
    attempt(*job, [&] { job->task->cancel(); });
  }
  let_go_of_ended();
}

void Scheduler::let_go_of_ended() {
  for (const auto& job : jobs_) {
    if (!job->error && !job->task->done()) continue;
    attempt(*job, [&] { job->task->end(); });
    job->task->put_back();  // its pages are the engine thread's, the task soon is not
    job->task = nullptr;
    job->ended(std::move(job->error));
  }
  std::erase_if(jobs_, [](const auto& job) { return job->task == nullptr; });
}

// Nothing can be read. Then a task ends, or else one has to: the first cannot get its pages although all that
// could be given up was.
void Scheduler::check_progress() {
  if (std::ranges::any_of(jobs_, [](const auto& job) { return job->error || job->task->done(); })) return;
  const auto first = std::ranges::find_if(jobs_, [](const auto& job) { return job->running; });
  LECTERN_CHECK(first != jobs_.end() && no_pages_);
  (*first)->error = std::exchange(no_pages_, nullptr);
}

void Scheduler::put_in_order() {
  int64_t oldest = n_added_;
  for (const auto& job : jobs_) oldest = std::min(oldest, job->number);
  std::ranges::sort(jobs_, {}, [&](const auto& job) {
    return std::tuple(job->number != oldest, job->priority, job->number);
  });
}

void Scheduler::admit() {
  put_in_order();
  int n_running[2] = {0, 0};
  for (const auto& job : jobs_) n_running[static_cast<int>(job->priority)] += job->running;
  if (std::ranges::all_of(jobs_, [](const auto& job) { return job->running; })) return;
  const int n_free = backend_.kv_pages().n_free() + cache_.n_reclaimable();
  int n_misfits = 0;
  for (size_t place = 0; place < jobs_.size() && n_misfits < kMaxMisfits; ++place) {
    Job& job = *jobs_[place];
    int& n = n_running[static_cast<int>(job.priority)];
    if (job.running || (place > 0 && n >= kMaxRunning)) continue;
    if (place > 0 && !fits(place, n_free)) {
      ++n_misfits;
      continue;
    }
    job.running = true;
    ++n;
  }
}

// Whether there will be pages for all that it reads: those before it take what they still need first, those
// after it can be put back.
bool Scheduler::fits(size_t place, int n_free_pages) const {
  const Job& job = *jobs_[place];
  int n_available = n_free_pages;
  size_t n_common = 0;
  for (size_t i = 0; i < jobs_.size(); ++i) {
    const Job& other = *jobs_[i];
    if (i == place || !other.running) continue;
    const int n_held = other.task->n_pages();
    if (i > place) {
      n_available += n_held;
      continue;
    }
    n_available -= std::max(0, pages_for(other.task->max_tokens()) + 1 - n_held);
    n_common = std::max(n_common, common_prefix(other.task->beginning(), job.task->beginning()));
  }
  const int n_needed = pages_for(job.task->max_tokens()) + 1 - static_cast<int>(n_common) / kKvPageTokens;
  return n_needed <= n_available;
}

// -- what they read -----------------------------------------------------------------------------------------

// The i-th reading of a job in this step; null when there is none.
Reading* Scheduler::fetch(Job& job, size_t i) {
  if (i < job.readings.size()) return job.readings[i];
  Reading* reading = nullptr;
  attempt(job, [&] {
    while ((reading = job.task->reading(i)) != nullptr) {
      reading->n_planned = 0;
      begin(job, *reading);
      if (reading->left() > 0) {
        job.readings.push_back(reading);
        return;
      }
      job.task->take(*reading, 0, 0, {});  // all of it was known
    }
  });
  return job.error ? nullptr : reading;
}

// Finds what is known of a reading's tokens: in the sequences of others, or, if it is new or has waited for
// one that has ended, in the cache.
void Scheduler::begin(Job& job, Reading& reading) {
  const std::span<const int32_t> tokens = reading.reusable();
  const size_t worthwhile = static_cast<size_t>(reading.length()) + kKvPageTokens;
  const bool waited = std::exchange(reading.waiting, false);
  const Reading* best = nullptr;
  int best_length = 0;
  bool ahead = true;
  for (const auto& other : jobs_) {
    if (tokens.size() < worthwhile) break;
    if (other.get() == &job) ahead = false;
    if (!other->running || other.get() == &job) continue;
    const bool may_wait = ahead && other->priority <= job.priority && !other->task->streaming();
    for (const Reading* source : other->readings) {
      const size_t n_common = common_prefix(source->tokens, tokens);
      if (n_common < worthwhile) continue;
      if (may_wait && source->length() < static_cast<int>(n_common)) {
        reading.waiting = true;
        return;
      }
      const int length = std::min(source->length(), static_cast<int>(n_common));
      if (length <= best_length) continue;
      best_length = length;
      best = source;
    }
  }
  if (waited || reading.length() == 0) {
    KvSequence remembered = cache_.longest(tokens, reading.n_kept);
    if (remembered.length() > reading.length()) {
      reading.sequence = std::move(remembered);
      reading.n_cached = reading.length();
    }
  }
  if (best != nullptr && best_length >= reading.length() + kKvPageTokens) {
    stats_.shared_tokens += best_length - reading.length();
    reading.sequence = cache_.fork(best->sequence, best_length);
    reading.n_cached = reading.length();
  }
}

void Scheduler::plan() {
  const int chunk = backend_.options().prefill_chunk_tokens;
  const int max_rows = static_cast<int>(kMaxLogitsBytes / sizeof(float)) / backend_.config().vocab_size;
  int n_running = 0;
  bool streaming = false, bulk = false;
  for (const auto& job : jobs_) {
    if (!job->running) continue;
    ++n_running;
    const bool interactive = job->priority == Priority::kInteractive;
    streaming |= interactive && job->task->streaming();
    bulk |= !interactive && !job->readings.empty() && !job->readings.front()->waiting;
  }
  // Half of the rows of logits are for generations, the rest for what is scored.
  const int most_guesses = std::max(0, max_rows / 2 / std::max(1, n_running) - 1);
  rows_left_ = std::max(1, max_rows - n_running * (1 + most_guesses));

  const int n_decoding = plan_decoding();
  const int least = std::max(kLeastTokens, chunk / kShareWhileStreaming);
  int n_tokens = streaming ? least : std::max(least, chunk - n_decoding);
  const int for_bulk = bulk ? std::max(1, n_tokens / kBulkShare) : 0;
  n_tokens -= share_out(Priority::kInteractive, n_tokens - for_bulk);
  n_tokens -= share_out(Priority::kBulk, n_tokens);
  share_out(Priority::kInteractive, n_tokens);

  for (const auto& job : jobs_) {
    for (Reading* reading : job->readings) {
      if (reading->n_planned == 0 || reading->n_planned < reading->left()) continue;
      attempt(*job, [&] { job->task->guess(*reading, most_guesses); });
      reading->n_planned = reading->left();
    }
  }
}

int Scheduler::plan_decoding() {
  int n = 0;
  for (const auto& job : jobs_) {
    if (!job->task->streaming() || job->readings.empty()) continue;
    Reading& reading = *job->readings.front();
    if (reading.waiting || reading.left() > kMaxDecodeTokens) continue;
    reading.n_planned = reading.left();
    n += reading.n_planned;
  }
  return n;
}

// Gives up to n_tokens of the step to the class; returns how many were taken.
int Scheduler::share_out(Priority priority, int n_tokens) {
  std::vector<Job*> jobs;
  for (const auto& job : jobs_) {
    if (job->priority == priority && !job->readings.empty()) jobs.push_back(job.get());
  }
  const auto give_to_all = [&](int n) {
    int given = 0;
    for (Job* job : jobs) given += give(*job, n - given);
    return given;
  };
  const int first = give_to_all((n_tokens + 1) / 2);
  std::ranges::stable_sort(jobs, {}, [](const Job* job) { return job->task->n_tokens_left(); });
  return first + give_to_all(n_tokens - first);
}

int Scheduler::give(Job& job, int n_tokens) {
  const bool counts_rows = job.task->label_rows().empty();
  int given = 0;
  for (size_t i = 0; given < n_tokens; ++i) {
    Reading* reading = fetch(job, i);
    if (reading == nullptr) break;
    const int before = reading->n_planned;
    if (reading->waiting || before == reading->left()) continue;
    int planned = std::min(reading->left(), before + n_tokens - given);
    if (counts_rows) {
      const int rows_before = reading->rows_in(before);
      planned -= std::max(0, reading->rows_in(planned) - rows_before - rows_left_);
      rows_left_ -= reading->rows_in(planned) - rows_before;
    }
    if (planned == before) break;  // no more rows
    reading->n_planned = planned;
    given += planned - before;
  }
  return given;
}

// -- pages --------------------------------------------------------------------------------------------------

// Room for all that is planned; what finds none is not read in this step. False when nothing is left.
bool Scheduler::reserve() {
  bool any = false;
  no_pages_ = nullptr;
  for (size_t place = 0; place < jobs_.size(); ++place) {
    if (jobs_[place]->error) jobs_[place]->readings.clear();
    for (Reading* reading : jobs_[place]->readings) {
      if (reading->n_planned > 0 && !reserve(place, *reading)) reading->n_planned = 0;
      any |= reading->n_planned > 0;
    }
  }
  return any;
}

bool Scheduler::reserve(size_t place, Reading& reading) {
  while (true) {
    try {
      cache_.reserve(reading.sequence, reading.n_planned);
      return true;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kResourceExhausted) throw;
      if (!no_pages_) no_pages_ = std::current_exception();
    }
    size_t last = jobs_.size() - 1;
    while (last > place && (!jobs_[last]->running || jobs_[last]->task->n_pages() == 0)) --last;
    Job& job = *jobs_[last];
    if (last == place) {
      // Nested beginnings may fill the cache. The oldest of all must go on: what it has read besides, it
      // reads again when it gets there.
      const int n_own = static_cast<int>(reading.sequence.pages().size());
      if (place > 0 || &reading != job.readings.front() || job.task->n_pages() == n_own) return false;
      job.task->keep_only(reading);
      continue;
    }
    job.task->put_back();
    job.readings.clear();
    job.running = false;
    ++stats_.put_back;
  }
}

// -- the forward pass ---------------------------------------------------------------------------------------

// One pass for each set of label rows.
void Scheduler::read() {
  std::vector<std::pair<std::span<const int32_t>, std::vector<Slice>>> passes;
  std::vector<Slice> without_rows;
  for (const auto& job : jobs_) {
    const std::span<const int32_t> label_rows = job->task->label_rows();
    for (Reading* reading : job->readings) {
      if (reading->n_planned == 0) continue;
      const Slice slice = {job.get(), reading, reading->n_planned, reading->rows_in(reading->n_planned)};
      if (slice.n_rows == 0) {
        without_rows.push_back(slice);
        continue;
      }
      auto pass = std::ranges::find_if(
          passes, [&](const auto& other) { return std::ranges::equal(other.first, label_rows); });
      if (pass == passes.end()) {
        passes.emplace_back(label_rows, std::vector<Slice>());
        pass = std::prev(passes.end());
      }
      pass->second.push_back(slice);
    }
  }
  // These go with any.
  if (passes.empty()) passes.emplace_back();
  auto& last = passes.back().second;
  last.insert(last.end(), without_rows.begin(), without_rows.end());
  for (const auto& [label_rows, slices] : passes) forward(slices, label_rows);
}

void Scheduler::forward(std::span<const Slice> slices, std::span<const int32_t> label_rows) {
  std::vector<SequenceSlice> batch;
  for (const Slice& slice : slices) {
    const Reading& reading = *slice.reading;
    batch.push_back({.tokens = reading.tokens.subspan(static_cast<size_t>(reading.length()),
                                                      static_cast<size_t>(slice.n_tokens)),
                     .first_position = reading.length(),
                     .pages = reading.sequence.pages(),
                     .n_logits = slice.n_rows});
  }
  Job& first = *slices.front().job;
  const bool alone = std::ranges::all_of(slices, [&](const Slice& slice) { return slice.job == &first; });
  try {
    backend_.forward({batch, label_rows}, logits_, alone ? first.cancel : CancelToken());
  } catch (...) {
    if (alone) {
      if (!first.cancel.cancelled()) first.error = std::current_exception();
      return;
    }
    // Whose fault was it? Nothing has advanced, so each can be read again by itself.
    std::vector<Slice> own;
    for (size_t i = 0; i < slices.size(); ++i) {
      const auto is_own = [&](const Slice& slice) { return slice.job == slices[i].job; };
      if (std::any_of(slices.begin(), slices.begin() + static_cast<ptrdiff_t>(i), is_own)) continue;
      own.clear();
      std::ranges::copy_if(slices, std::back_inserter(own), is_own);
      forward(own, label_rows);
    }
    return;
  }
  hand_out(slices);
}

void Scheduler::hand_out(std::span<const Slice> slices) {
  size_t n_rows = 0;
  for (const Slice& slice : slices) n_rows += static_cast<size_t>(slice.n_rows);
  const size_t n_columns = n_rows == 0 ? 0 : logits_.size() / n_rows;
  std::span<float> rest = logits_;
  for (const Slice& slice : slices) {
    const auto rows = rest.first(static_cast<size_t>(slice.n_rows) * n_columns);
    rest = rest.subspan(rows.size());
    attempt(*slice.job, [&] {
      slice.reading->sequence.advance(slice.n_tokens);
      slice.job->task->take(*slice.reading, slice.reading->n_rows_done, slice.n_rows, rows);
    });
  }
}

}  // namespace lectern
