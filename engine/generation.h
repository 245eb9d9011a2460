// One run of Engine::generate: from a prompt to its answer, token by token. Internal to the engine.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/prefix_cache.h"
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
  std::span<float> read_pending();
  bool is_stop(int32_t token) const;
  bool show(const std::string& text);

  Model model_;
  const GenerateRequest& request_;
  const TextCallback& on_text_;
  const CancelToken& cancel_;
  Sampler sampler_;
  TextStream stream_;
  std::optional<GrammarState> grammar_;
  std::vector<int32_t> tokens_;  // prompt and answer; the first sequence_.length() of them are in the cache
  KvSequence sequence_;
  std::vector<uint64_t> mask_;
  std::vector<float> logits_;
  GenerateResult result_;
};

}  // namespace lectern
