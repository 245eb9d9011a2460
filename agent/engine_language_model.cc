#include "agent/engine_language_model.h"

#include <algorithm>

#include "engine/grammar.h"
#include "engine/model_fingerprint.h"
#include "engine/prefix_cache.h"

namespace lectern {
namespace {

std::vector<ChatMessage> to_chat(const std::vector<LmMessage>& messages) {
  std::vector<ChatMessage> out;
  for (const LmMessage& message : messages) {
    const Role role = message.role == LmMessage::Role::kSystem ? Role::kSystem
                      : message.role == LmMessage::Role::kUser ? Role::kUser
                                                               : Role::kAssistant;
    out.push_back({role, message.content});
  }
  return out;
}

std::shared_ptr<const Grammar> grammar_of(const LmRequest& request) {
  if (request.json_schema) return Grammar::from_json_schema(*request.json_schema);
  if (!request.choices.empty()) return Grammar::choice(request.choices);
  return nullptr;
}

}  // namespace

double EngineLanguageModel::billion_parameters() const {
  const Qwen2Config& c = engine_->config();
  const double hidden = c.hidden_size;
  const double attention = hidden * (2.0 * c.q_size() + 2.0 * c.kv_size());
  double feed_forward = 3.0 * hidden * c.intermediate_size;
  if (c.architecture == Architecture::kQwen2Moe) {
    feed_forward =
        3.0 * hidden *
        (static_cast<double>(c.num_experts) * c.moe_intermediate_size + c.shared_expert_intermediate_size);
  }
  const double embedding = hidden * c.vocab_size * (c.tie_word_embeddings ? 1 : 2);
  return (c.num_hidden_layers * (attention + feed_forward) + embedding) * 1e-9;
}

std::string EngineLanguageModel::fingerprint() {
  if (fingerprint_.empty()) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (const std::byte byte : lectern::fingerprint(engine_->model_file())) {
      fingerprint_ += kDigits[std::to_integer<size_t>(byte) >> 4];
      fingerprint_ += kDigits[std::to_integer<size_t>(byte) & 15];
    }
  }
  return fingerprint_;
}

std::vector<int32_t> EngineLanguageModel::render(const LmRequest& request) const {
  return engine_->chat_template().render(to_chat(request.messages), request.assistant_prefix);
}

int EngineLanguageModel::count_tokens(const LmRequest& request) const {
  return static_cast<int>(render(request).size());
}

// The end of what comes again may share a token with what follows it: only tokens that are the same whatever
// follows count.
int EngineLanguageModel::kept_tokens(const LmRequest& request, std::span<const int32_t> prompt) const {
  if (request.keep_bytes == 0 || request.messages.empty()) return 0;
  std::vector<ChatMessage> messages = to_chat(request.messages);
  messages.back().content.resize(std::min(request.keep_bytes, messages.back().content.size()));
  const size_t n = common_prefix(prompt, engine_->chat_template().render(messages));
  return static_cast<int>(std::min(n, prompt.size() - 1));
}

bool EngineLanguageModel::is_kept(const LmRequest& request) {
  const std::vector<int32_t> prompt = render(request);
  const int n = kept_tokens(request, prompt);
  return n > 0 && engine_->is_kept(std::span(prompt).first(static_cast<size_t>(n)));
}

LmReply EngineLanguageModel::chat(const LmRequest& request, const LmTextCallback& on_text,
                                  const CancelToken& cancel) {
  GenerateRequest generate;
  generate.prompt = render(request);
  generate.max_new_tokens = request.max_new_tokens;
  generate.sampling.temperature = request.temperature;
  generate.sampling.seed = request.seed;
  generate.sampling.repetition_penalty = request.repetition_penalty;
  generate.stop = request.stop;
  generate.grammar = grammar_of(request);
  generate.keep_prefix_tokens = kept_tokens(request, generate.prompt);
  if (request.on_prompt_read) {
    const auto total = static_cast<int>(generate.prompt.size());
    generate.on_prompt_read = [&, total](int n) {
      request.on_prompt_read({n, total, reading_work(costs_, n) / reading_work(costs_, total)});
    };
  }
  const GenerateResult result = engine_->generate(generate, on_text, cancel);
  cancel.throw_if_cancelled();  // a stop by on_text is no error, a cancel is

  LmReply reply;
  reply.text = result.text;
  reply.truncated = result.finish_reason == FinishReason::kLength;
  reply.prompt_tokens = result.prompt_tokens;
  reply.cached_prompt_tokens = result.cached_prompt_tokens;
  reply.new_tokens = result.new_tokens;
  reply.prefill_seconds = result.prefill_seconds;
  reply.kept_problem = result.kept_problem;
  reply.seconds = result.prefill_seconds + result.decode_seconds;
  return reply;
}

std::vector<double> EngineLanguageModel::score(std::span<const LmRequest> requests,
                                               std::string_view continuation, const CancelToken& cancel) {
  const std::vector<int32_t> ids = engine_->tokenizer().encode(continuation);
  std::vector<ScoreItem> items;
  for (const LmRequest& request : requests) {
    ScoreItem item{render(request), ids};
    if (request.keep_prompt) item.keep_prefix_tokens = static_cast<int>(item.prompt.size()) - 1;
    items.push_back(std::move(item));
  }
  std::vector<double> out;
  for (const Engine::Score& score : engine_->score(items, cancel)) {
    out.push_back(score.n_tokens > 0 ? score.log_probability / score.n_tokens : 0.0);
  }
  return out;
}

std::vector<std::vector<double>> EngineLanguageModel::score_choices(std::span<const LmRequest> requests,
                                                                    std::span<const std::string> choices,
                                                                    const CancelToken& cancel) {
  std::vector<std::vector<int32_t>> ids;
  for (const std::string& choice : choices) ids.push_back(engine_->tokenizer().encode(choice));
  const bool single_tokens =
      std::all_of(ids.begin(), ids.end(), [](const std::vector<int32_t>& of) { return of.size() == 1; });
  if (!single_tokens) return LanguageModel::score_choices(requests, choices, cancel);
  // Only these rows of the head are needed.
  std::vector<std::vector<int32_t>> prompts;
  for (const LmRequest& request : requests) prompts.push_back(render(request));
  std::vector<int32_t> labels;
  for (const std::vector<int32_t>& of : ids) labels.push_back(of.front());
  std::vector<std::vector<double>> out(requests.size());
  const std::vector<float> scores = engine_->score_labels(prompts, labels, cancel);
  for (size_t i = 0; i < scores.size(); ++i) out[i / labels.size()].push_back(scores[i]);
  return out;
}

}  // namespace lectern
