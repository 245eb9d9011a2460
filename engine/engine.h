// A loaded model that generates and scores: what the layers above see of inference. Any number of threads may
// call it at the same time: what they ask is read together, in batches (scheduler.h), and each gets what it
// would get alone. The engine outlives all calls.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/progress.h"
#include "engine/backend.h"
#include "engine/chat_template.h"
#include "engine/device.h"
#include "engine/grammar.h"
#include "engine/kv_store.h"
#include "engine/priority.h"
#include "engine/sampler.h"
#include "engine/tokenizer.h"

namespace lectern {

struct GenerateRequest {
  std::vector<int32_t> prompt;  // token ids, as ChatTemplate::render gives them
  int max_new_tokens = 512;
  SamplingParams sampling;
  std::vector<std::string> stop;           // stop strings; not part of the result
  std::shared_ptr<const Grammar> grammar;  // null: free text
  // At most so many tokens are guessed from the text so far and checked in one pass (prompt_lookup.h); 0:
  // none. The result is the same, it only comes faster.
  int max_draft_tokens = 8;
  int keep_prefix_tokens = 0;  // as in ScoreItem
  // Of the prompt so many tokens have been read: after every step, on the thread that called generate(). May
  // be empty.
  std::function<void(int n_tokens)> on_prompt_read;
  Priority priority = Priority::kInteractive;
};

enum class FinishReason { kStop, kLength, kCancelled };

struct GenerateResult {
  std::string text;  // valid UTF-8
  std::vector<int32_t> tokens;
  FinishReason finish_reason = FinishReason::kStop;
  int prompt_tokens = 0;
  int cached_prompt_tokens = 0;  // found in the KV cache, or on disk, from earlier requests
  int new_tokens = 0;
  int draft_tokens = 0;           // guessed
  int accepted_draft_tokens = 0;  // of them, right
  double prefill_seconds = 0;
  double decode_seconds = 0;
  // Why the KV that was kept of the prompt's beginning could not be used, or could not be kept now. The
  // result is the same.
  std::string kept_problem;
};

// Receives text as it comes, always whole UTF-8 sequences; false stops the generation
// (FinishReason::kCancelled). Runs on the thread that called generate(): while it takes its time, the engine
// goes on, and what comes waits.
using TextCallback = std::function<bool(std::string_view text)>;

struct ScoreItem {
  std::vector<int32_t> prompt;
  std::vector<int32_t> continuation;
  // The first so many tokens of the prompt, fewer than all, will be asked about again: with Options::kv_store
  // their KV is kept on disk, and the next request that begins with exactly these, and says so, reads only
  // the rest. A chunk goes before its question, then, and a question costs only itself.
  int keep_prefix_tokens = 0;
};

class Engine {
 public:
  struct Options {
    BackendOptions backend;
    KvStoreOptions kv_store;  // off unless a folder is named
    // Requests that may wait while others run; one more is refused with Error(kResourceExhausted).
    int max_waiting_requests = 256;
    // Of a model that is opened by its path, as ModelFile::open takes them.
    ContextExtension extension = ContextExtension::kNone;
    Device device;  // the CPU; programs for people ask for Device::Kind::kAuto
    std::filesystem::path sparse_config;
  };

  // What `progress` throws ends the loading, and is thrown.
  static std::unique_ptr<Engine> load(const std::filesystem::path& model, const Options& options,
                                      const ProgressFn& progress = {});
  static std::unique_ptr<Engine> load(std::shared_ptr<const ModelFile> model, const Options& options,
                                      const ProgressFn& progress = {});
  // On a backend of one's own of this model; Options::device and ::backend say nothing then.
  static std::unique_ptr<Engine> load(std::shared_ptr<const ModelFile> model,
                                      std::unique_ptr<Backend> backend, const Options& options);
  ~Engine();

  const Qwen2Config& config() const;
  const Tokenizer& tokenizer() const;
  const ChatTemplate& chat_template() const;
  const ModelFile& model_file() const;
  std::string describe() const;
  // Positions that fit: the smallest of the model's context, BackendOptions::max_context_tokens and the KV
  // cache.
  int context_tokens() const;

  // Whether the KV of exactly these tokens, the beginning of a prompt, lies in Options::kv_store. It is
  // verified only when it is read.
  bool is_kept(std::span<const int32_t> tokens) const;

  // The KV of the longest prefix shared with an earlier request is reused. Throws Error(kResourceExhausted)
  // when the prompt and one new token do not fit the context (nothing is cut silently), or when too many
  // requests wait already. Ends with kLength when max_new_tokens or the context is reached, and with
  // kCancelled, not an Error, when `cancel` is set or `on_text` (which may be empty) returns false: within a
  // step of the engine, and with what `on_text` has been given by then.
  GenerateResult generate(const GenerateRequest& request, const TextCallback& on_text,
                          const CancelToken& cancel);

  // Sum and number of log-probabilities of each continuation after its prompt, over the whole vocabulary.
  // What several items begin with is computed once. Interactive requests are served in between.
  // Both score functions refuse empty prompts (kInvalidArgument) and items beyond the context
  // (kResourceExhausted); `cancel` makes them throw Error(kCancelled).
  struct Score {
    double log_probability = 0;
    int n_tokens = 0;
  };
  std::vector<Score> score(std::span<const ScoreItem> items, const CancelToken& cancel,
                           Priority priority = Priority::kBulk);
  // Log-probabilities of `labels`, at most 1,024, as the next token after each prompt, given that it is one
  // of them (only their rows of the head are computed): [prompts, labels]. keep_prefix_tokens: one a prompt,
  // as in ScoreItem, or empty.
  std::vector<float> score_labels(std::span<const std::vector<int32_t>> prompts,
                                  std::span<const int32_t> labels, const CancelToken& cancel,
                                  std::span<const int> keep_prefix_tokens = {},
                                  Priority priority = Priority::kBulk);

  Backend& backend();  // for benchmarks and tests, while no other call is under way

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lectern
