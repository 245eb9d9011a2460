// One run of Engine::generate: from a prompt to its answer, token by token. Internal to the engine.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/prefix_cache.h"
#include "engine/prompt_lookup.h"
#include "engine/text_stream.h"

namespace lectern {

class Generation {
 public:
  // What a generation works on; outlives it.
  struct Model {
    Backend& backend;
    PrefixCache& cache;
    const Tokenizer& tokenizer;
    std::span<const int32_t> stop_tokens;
    int context_tokens;
  };

  Generation(const Model& model, const GenerateRequest& request, const TextCallback& on_text,
             const CancelToken& cancel);

  GenerateResult run();

 private:
  FinishReason generate();
  // The next token, or none where an answer may end and does.
  std::optional<int32_t> next_token();
  std::optional<int32_t> forced_token();
  std::span<const uint64_t> allowed_tokens();
  std::span<float> next_logits();
  void read_pending();
  void append(int32_t token);
  bool is_stop(int32_t token) const;
  bool show(const std::string& text);

  Model model_;
  const GenerateRequest& request_;
  const TextCallback& on_text_;
  const CancelToken& cancel_;
  Sampler sampler_;
  TextStream stream_;
  std::optional<GrammarState> grammar_;
  std::vector<int32_t> tokens_;  // prompt and answer
  KvSequence sequence_;          // of tokens_ or their beginning, and of draft_ after all of them
  std::vector<uint64_t> mask_;
  // Guessed tokens that were read after tokens_ and are not decided yet.
  std::vector<int32_t> draft_;
  std::vector<float> logits_;  // rows: after tokens_ as they were when read, and after each guessed token
  size_t row_ = 0;             // of logits_: after tokens_ as they are
  size_t n_drafted_ = 0;       // guessed with the last read
  DraftLength draft_length_;
  GenerateResult result_;
};

}  // namespace lectern
