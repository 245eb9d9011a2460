#include "agent/read_level.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <set>

#include "agent/extract_sentences.h"
#include "agent/kept_judge.h"
#include "agent/retrieve.h"

namespace lectern {
namespace {

constexpr int kBatch = 16;         // chunks scored at a time: a budget of seconds is kept to within one batch
constexpr int kRankedFirst = 400;  // chunks that are read in the order of the search
constexpr int kExtractFrom = 4;    // best chunks whose sentences are searched for
constexpr int kFoundBySentences = 12;  // chunks of that search
// Reading ends when so many chunks after the best one that passes were no better (docs/evaluation.md).
constexpr int kPatience = 64;

struct ReadChunk {
  SourcePassage chunk;
  double gain = 0;  // kept_judge.h
  double bm25_share = 0;
  bool has_sentences = false;  // that the model chose

  double score() const { return fused_score(gain, bm25_share); }
};

// Every chunk in scope, each once: those that the search ranked, then the others in document order.
class ReadingOrder {
 public:
  ReadingOrder(DocumentSource& documents, std::vector<SourcePassage> ranked) : documents_(documents) {
    best_score_ = ranked.empty() ? 0 : ranked.front().score;
    for (SourcePassage& chunk : ranked) add(std::move(chunk));
    ids_ = documents.document_ids();
  }

  // BM25 scores are shares of the best one's; what is not ranked has none.
  std::vector<ReadChunk> next(size_t n) {
    while (waiting_.size() < n && document_ < ids_.size()) read_on();
    std::vector<ReadChunk> out;
    for (; out.size() < n && !waiting_.empty(); waiting_.pop_front())
      out.push_back(std::move(waiting_.front()));
    return out;
  }

  // Did it come, or will it? From now on it counts as come.
  bool is_new(int64_t chunk_id) { return seen_.insert(chunk_id).second; }

 private:
  void add(SourcePassage chunk) {
    if (!is_new(chunk.chunk_id)) return;
    const double share = best_score_ > 0 ? chunk.score / best_score_ : 0;
    waiting_.push_back({std::move(chunk), 0, share});
  }

  void read_on() {
    constexpr int kAtOnce = 64;
    std::vector<SourcePassage> some = documents_.read(ids_[document_], first_, kAtOnce);
    first_ += kAtOnce;
    if (some.size() < kAtOnce) ++document_, first_ = 0;
    for (SourcePassage& chunk : some) {
      chunk.score = 0;
      add(std::move(chunk));
    }
  }

  DocumentSource& documents_;
  double best_score_ = 0;
  std::deque<ReadChunk> waiting_;
  std::set<int64_t> seen_;
  std::vector<int64_t> ids_;
  size_t document_ = 0;
  int first_ = 0;
};

class Reader {
 public:
  Reader(Asking& asking, const QueryPlan& plan, std::vector<SourcePassage> ranked, int max_chunks)
      : asking_(asking),
        max_chunks_(asking.request.budget.chunks > 0 ? asking.request.budget.chunks : max_chunks),
        judge_(asking, asking.helper, plan),
        order_(asking.documents, std::move(ranked)) {}

  // Until one of the reasons to stop. A failing model is one.
  void read() {
    const Stopwatch watch;
    std::string reason = "all are read";
    try {
      for (;;) {
        if (const char* stop = reason_to_stop()) {
          reason = stop;
          break;
        }
        std::vector<ReadChunk> batch = order_.next(batch_size());
        if (batch.empty()) break;
        judge(batch);
        for (ReadChunk& chunk : batch) keep(std::move(chunk));
        report();
      }
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kCancelled) throw;
      reason = error.what();
    }
    trace(watch.seconds(), reason);
  }

  std::optional<double> likely() const {
    if (read_.empty()) return std::nullopt;
    return likely_to_answer(best_gain_);
  }

  // The model's choice of sentences in the best chunks, searched for; what is found is read.
  void follow_sentences(const QueryPlan& plan) {
    sort();
    std::vector<SourceQuery> queries = plan.queries();
    const size_t n_own = queries.size();
    for (size_t i = 0; i < std::min<size_t>(read_.size(), kExtractFrom) && !asking_.out_of_time(); ++i) {
      const auto sentences = extract_sentences(asking_.helpers(), judge_.question(), read_[i].chunk);
      if (!sentences || sentences->empty()) continue;
      read_[i].has_sentences = true;
      std::string text;
      for (const TextRange& sentence : *sentences)
        text.append(text.empty() ? "" : "\n").append(sentence.of(read_[i].chunk.text));
      queries.push_back({std::move(text), 1.0});
    }
    if (queries.size() == n_own || asking_.out_of_time()) return;
    std::vector<ReadChunk> found;
    std::vector<SourcePassage> hits = asking_.documents.search(queries, kFoundBySentences);
    const double best = hits.empty() ? 0 : hits.front().score;
    for (SourcePassage& hit : hits) {
      if (was_read(hit.chunk_id)) continue;
      const double share = best > 0 ? hit.score / best : 0;
      found.push_back({std::move(hit), 0, share});
    }
    asking_.tracer.add("sentences", std::to_string(queries.size() - n_own) +
                                        " chunks hold relevant sentences, " + std::to_string(found.size()) +
                                        " further chunks found by them");
    judge_or_leave(found);
  }

  // Chunks with chosen sentences first, then by score.
  std::vector<SourcePassage> best(int limit) {
    sort();
    std::vector<SourcePassage> out;
    for (ReadChunk& chunk : read_) {
      if (static_cast<int>(out.size()) == limit) break;
      chunk.chunk.score = chunk.score();
      out.push_back(std::move(chunk.chunk));
    }
    return out;
  }

 private:
  const char* reason_to_stop() const {
    if (max_chunks_ > 0 && judge_.n_scored() >= max_chunks_) return "the budget of chunks is spent";
    if (asking_.out_of_time()) return "the time is up";
    if (best_gain_ >= kPasses && since_best_ >= kPatience) return "one passes, later ones are no better";
    return nullptr;
  }

  size_t batch_size() const {
    return static_cast<size_t>(max_chunks_ > 0 ? std::min(kBatch, max_chunks_ - judge_.n_scored()) : kBatch);
  }

  void judge(std::vector<ReadChunk>& batch) {
    std::vector<SourcePassage> chunks;
    for (const ReadChunk& chunk : batch) chunks.push_back(chunk.chunk);
    const std::vector<double> gains = judge_.gains(chunks);
    for (size_t i = 0; i < batch.size(); ++i) batch[i].gain = gains[i];
  }

  void judge_or_leave(std::vector<ReadChunk>& found) {
    try {
      judge(found);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kCancelled) throw;
      return;
    }
    for (ReadChunk& chunk : found) keep(std::move(chunk));
  }

  void keep(ReadChunk chunk) {
    ++since_best_;
    if (chunk.gain > best_gain_) best_gain_ = chunk.gain, since_best_ = 0;
    read_.push_back(std::move(chunk));
  }

  bool was_read(int64_t chunk_id) const {
    return std::any_of(read_.begin(), read_.end(),
                       [&](const ReadChunk& chunk) { return chunk.chunk.chunk_id == chunk_id; });
  }

  void sort() {
    std::stable_sort(read_.begin(), read_.end(), [](const ReadChunk& a, const ReadChunk& b) {
      return a.has_sentences != b.has_sentences ? a.has_sentences : a.score() > b.score();
    });
  }

  void report() const {
    if (!asking_.events.on_progress) return;
    asking_.events.on_progress({.stage = "reading",
                                .item = "",
                                .items_done = read_.size(),
                                .items_total = static_cast<uint64_t>(asking_.documents.n_chunks())});
  }

  void trace(double seconds, const std::string& reason) {
    TraceStep step;
    step.kind = "read";
    step.seconds = seconds;
    step.detail = std::to_string(read_.size()) + " of " + std::to_string(asking_.documents.n_chunks()) +
                  " chunks read, " + std::to_string(judge_.n_kept()) +
                  " of them with a kept score: " + reason;
    Json scores = Json::array();
    for (const ReadChunk& chunk : read_)
      scores.push_back({{"chunk", chunk.chunk.chunk_id}, {"gain", chunk.gain}, {"bm25", chunk.bm25_share}});
    step.data = {
        {"read", read_.size()}, {"kept", judge_.n_kept()}, {"reason", reason}, {"scores", std::move(scores)}};
    asking_.tracer.add(std::move(step));
  }

  Asking& asking_;
  int max_chunks_;
  KeptJudge judge_;
  ReadingOrder order_;
  std::vector<ReadChunk> read_;
  double best_gain_ = -std::numeric_limits<double>::infinity();
  int since_best_ = 0;
};

}  // namespace

ReadResult read_and_rank(Asking& asking, QueryPlan& plan, int limit, int max_chunks) {
  std::vector<SourcePassage> ranked = retrieve(asking, plan, kRankedFirst);
  Reader reader(asking, plan, ranked, max_chunks);
  reader.read();
  ReadResult result;
  result.likely = reader.likely();
  if (result.likely.value_or(1) > 0) reader.follow_sentences(plan);
  result.best = reader.best(limit);
  if (!result.best.empty()) return result;
  ranked.resize(std::min(ranked.size(), static_cast<size_t>(limit)));
  result.best = std::move(ranked);
  return result;
}

}  // namespace lectern
