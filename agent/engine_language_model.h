// Our own engine as the agent's language model. Keeps a reference to the engine, which must outlive it; calls
// are serialised by the engine.
#pragma once

#include "agent/language_model.h"
#include "engine/engine.h"
#include "engine/planner.h"

namespace lectern {

class EngineLanguageModel : public LanguageModel {
 public:
  // `name`: what the trace and messages call the model.
  EngineLanguageModel(Engine& engine, std::string name)
      : engine_(&engine), costs_(context_costs(engine.model_file())), name_(std::move(name)) {}

  std::string name() const override { return name_; }
  std::string fingerprint() override;  // the first time reads the whole file, at the speed of memory
  double billion_parameters() const override;
  int context_tokens() const override { return engine_->context_tokens(); }
  int count_tokens(std::string_view text) const override { return engine_->tokenizer().count(text); }
  int count_tokens(const LmRequest& request) const override;

  bool is_kept(const LmRequest& request) override;
  // Throws what Engine::generate throws; kCancelled when `cancel` ended the reply.
  LmReply chat(const LmRequest& request, const LmTextCallback& on_text, const CancelToken& cancel) override;
  std::vector<double> score(std::span<const LmRequest> requests, std::string_view continuation,
                            const CancelToken& cancel) override;
  std::vector<std::vector<double>> score_choices(std::span<const LmRequest> requests,
                                                 std::span<const std::string> choices,
                                                 const CancelToken& cancel) override;

 private:
  std::vector<int32_t> render(const LmRequest& request) const;
  // Tokens of `prompt`, which `request` was rendered to, that come again (LmRequest::keep_bytes).
  int kept_tokens(const LmRequest& request, std::span<const int32_t> prompt) const;

  Engine* engine_;
  ContextCosts costs_;
  std::string name_;
  std::string fingerprint_;
};

}  // namespace lectern
