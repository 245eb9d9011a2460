// A model behind an OpenAI-compatible URL as the agent's language model: llama.cpp's server, vLLM, Ollama, LM
// Studio, hosted APIs. What such servers lack of our engine is emulated, as docs/remote_models.md says; what
// a server turns out not to take is not sent to it again. Thread-safe: at most max_concurrent requests are
// under way, others wait.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "agent/language_model.h"
#include "agent/remote_http.h"
#include "agent/remote_server.h"

namespace lectern {

struct RemoteOptions {
  std::string url;         // http://localhost:8080/v1
  std::string model;       // "": the only one the server has
  std::string api_key;     // "": none is sent
  int context_tokens = 0;  // 0: as the server tells
  int max_concurrent = 4;
  HttpLimits limits;
};

class RemoteLanguageModel : public LanguageModel {
 public:
  // Where neither the options nor the server tell.
  static constexpr int kGuessedContextTokens = 8192;

  // Asks the server about the model; throws what ask_about_model throws.
  RemoteLanguageModel(const RemoteOptions& options, const CancelToken& cancel);

  std::string name() const override { return info_.name; }
  // With the URL: another server's model of this name may be another one.
  std::string fingerprint() override { return name() + " at " + http_.shown_url({.path = "", .body = {}}); }
  double billion_parameters() const override { return info_.billion_parameters; }
  int context_tokens() const override { return info_.context_tokens; }
  bool context_is_guessed() const { return context_is_guessed_; }
  // By the server's tokenizer where it offers one (llama.cpp, llama-cpp-python, vLLM), else an upper
  // estimate.
  int count_tokens(std::string_view text) const override;
  int count_tokens(const LmRequest& request) const override;
  bool counts_exactly() const { return tokenizer_ != Tokenizer::kNone; }

  // repetition_penalty is not part of the protocol and not sent; assistant_prefix is asked for in words, and
  // ignored with json_schema or choices, whose reply is given to on_text when it is whole. Throws Error that
  // names the URL, what the server said and what to do; kCorrupt for a reply that is none of the choices.
  LmReply chat(const LmRequest& request, const LmTextCallback& on_text, const CancelToken& cancel) override;

  // From the log-probabilities of an echoed prompt (/completions) where the server gives sound ones: the
  // messages as plain text, without the model's chat template. Else, for a continuation of one word, from
  // those of the first token of the reply: an approximation. Else throws Error(kUnsupported); kCorrupt for
  // what cannot be log-probabilities.
  std::vector<double> score(std::span<const LmRequest> requests, std::string_view continuation,
                            const CancelToken& cancel) override;

 private:
  enum class JsonMode { kSchema, kObject, kPrompt };  // response_format json_schema, json_object, in words
  enum class ScoreMode { kUnknown, kEcho, kFirstToken, kNone };
  enum class Tokenizer { kNone, kLlamaCpp, kLlamaCppPython };

  struct Completion;

  // Holds one of the places for requests under way.
  class Slot {
   public:
    Slot(RemoteLanguageModel& model, const CancelToken& cancel);  // waits for it; throws Error(kCancelled)
    ~Slot();
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

   private:
    RemoteLanguageModel& model_;
  };

  static LmRequest with_prefix_in_words(LmRequest request);
  Completion complete(Json body, const LmRequest& request, const LmTextCallback& on_text,
                      const CancelToken& cancel);
  HttpReply post(HttpRequest request, const RemoteHttp::OnBody& on_body, const CancelToken& cancel);
  bool adapt(const std::string& said, const Json& body);
  Json body_of(const LmRequest& request) const;
  LmReply chat_structured(const LmRequest& request, const LmTextCallback& on_text, const CancelToken& cancel);
  std::optional<int> ask_tokenizer(Tokenizer kind, std::string_view text) const;
  std::optional<double> score_by_echo(const std::string& prompt, std::string_view continuation,
                                      const CancelToken& cancel);
  bool echoes_soundly(const CancelToken& cancel);
  std::optional<double> score_first_token(const LmRequest& request, std::string_view continuation,
                                          const CancelToken& cancel);
  double score_one(const LmRequest& request, std::string_view continuation, const CancelToken& cancel);

  mutable RemoteHttp http_;
  RemoteModelInfo info_;
  bool context_is_guessed_ = false;
  int max_concurrent_;
  std::atomic<Tokenizer> tokenizer_{Tokenizer::kNone};

  // What the server has been found to take.
  std::atomic<JsonMode> json_mode_{JsonMode::kSchema};
  std::atomic<ScoreMode> score_mode_{ScoreMode::kUnknown};

  mutable std::mutex mutex_;
  std::condition_variable slot_free_;
  int n_running_ = 0;                                    // guarded by mutex_, as all below
  std::set<std::string> refused_fields_;                 // left out of requests
  bool renames_max_tokens_ = false;                      // to max_completion_tokens
  mutable std::unordered_map<std::string, int> counts_;  // of texts the server has counted
};

}  // namespace lectern
