// One run of Engine::generate: from a prompt to its answer, token by token, as a task of the scheduler.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/prefix_cache.h"
#include "engine/prompt_lookup.h"
#include "engine/task.h"
#include "engine/text_stream.h"

namespace lectern {

class Generation final : public Task {
 public:
  // What a generation works on; outlives it.
  struct Model {
    KvPagePool& pages;
    PrefixCache& cache;
    const Tokenizer& tokenizer;
    std::span<const int32_t> stop_tokens;
    int context_tokens;
  };
  // Called on the engine thread. Each may be empty.
  struct Sink {
    std::function<void(std::string text, int n_tokens)> text;  // as it comes, and of how many tokens all is
    std::function<void(int n_tokens)> prompt_read;             // so many tokens of the prompt have been read
  };

  // `request` outlives the generation; the prompt is not empty. Any thread.
  Generation(const Model& model, const GenerateRequest& request, Sink sink);

  // When the scheduler has let go of it, once. `n_shown`: of a generation that was cancelled, the tokens
  // whose text has been shown; the result ends there, however far the engine had gone. None: all.
  GenerateResult take_result(std::optional<int> n_shown);

  Priority priority() const override { return request_.priority; }
  Reading* reading(size_t i) override;
  bool done() const override { return done_; }
  int64_t n_tokens_left() const override { return reading_.left(); }
  bool streaming() const override { return has_logits_; }
  void guess(Reading& reading, int most) override;
  void take(Reading& reading, int first_row, int n_rows, std::span<float> logits) override;
  std::span<const int32_t> beginning() const override { return tokens_; }
  int max_tokens() const override { return static_cast<int>(tokens_.size()) + 1; }
  int n_pages() const override { return static_cast<int>(reading_.sequence.pages().size()); }
  void put_back() override;
  void cancel() override { finish(FinishReason::kCancelled); }
  void end() override;

 private:
  void go_on();
  void finish(FinishReason reason);
  std::optional<int32_t> forced_token();
  std::span<const uint64_t> allowed_tokens();
  void append(int32_t token);
  void drop_guesses();
  void show(std::string text);
  bool is_stop(int32_t token) const;

  Model model_;
  const GenerateRequest& request_;
  Sink sink_;
  Sampler sampler_;
  TextStream stream_;
  std::optional<GrammarState> grammar_;
  std::vector<int32_t> tokens_;  // prompt and answer; from guess() to take() the guesses too
  Reading reading_;
  std::vector<uint64_t> mask_;
  // Guessed tokens, read after tokens_ and not decided yet.
  std::vector<int32_t> guesses_;
  size_t n_guessed_ = 0, n_right_ = 0;  // with the last read
  bool guesses_appended_ = false;
  // In take(): logits after tokens_ and after each of guesses_, as far as they are known.
  std::span<float> rows_;
  size_t n_columns_ = 0;
  DraftLength draft_length_;
  std::optional<Stopwatch> time_;  // since the first step
  bool has_logits_ = false, started_ = false, done_ = false;
  GenerateResult result_;
};

}  // namespace lectern
