#include "engine/generation.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/clock.h"
#include "base/error.h"

namespace lectern {

Generation::Generation(const Model& model, const GenerateRequest& request, const TextCallback& on_text,
                       const CancelToken& cancel)
    : model_(model),
      request_(request),
      on_text_(on_text),
      cancel_(cancel),
      sampler_(request.sampling),
      stream_(request.stop),
      tokens_(request.prompt),
      // At least the last token is read again: its logits are not kept.
      sequence_(model.cache.longest(std::span(request.prompt).first(request.prompt.size() - 1),
                                    request.keep_prefix_tokens)),
      draft_length_(request.max_draft_tokens) {
  if (request.grammar) grammar_.emplace(request.grammar, model.tokenizer);
  result_.prompt_tokens = static_cast<int>(tokens_.size());
  result_.cached_prompt_tokens = sequence_.length();
}

GenerateResult Generation::run() {
  const Stopwatch total;
  try {
    result_.finish_reason = generate();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCancelled) throw;
    result_.finish_reason = FinishReason::kCancelled;
  }
  const std::string rest = stream_.finish();
  if (result_.finish_reason == FinishReason::kCancelled) {
    result_.text += rest;
  } else if (!show(rest)) {
    result_.finish_reason = FinishReason::kCancelled;
  }
  result_.new_tokens = static_cast<int>(result_.tokens.size());
  result_.decode_seconds = total.seconds() - result_.prefill_seconds;
  sequence_.truncate(std::min(sequence_.length(), static_cast<int>(tokens_.size())));
  const auto in_cache = static_cast<size_t>(sequence_.length());
  if (const auto kept = static_cast<size_t>(request_.keep_prefix_tokens); kept <= in_cache)
    model_.cache.store(std::span(tokens_).first(kept), sequence_.pages());
  model_.cache.keep(std::span(tokens_).first(in_cache), std::move(sequence_));
  return std::move(result_);
}

FinishReason Generation::generate() {
  while (true) {
    cancel_.throw_if_cancelled();
    if (grammar_ && grammar_->finished()) return FinishReason::kStop;
    if (static_cast<int>(result_.tokens.size()) >= request_.max_new_tokens) return FinishReason::kLength;
    if (static_cast<int>(tokens_.size()) >= model_.context_tokens) return FinishReason::kLength;
    const std::optional<int32_t> token = next_token();
    if (!token) return FinishReason::kStop;
    append(*token);
    if (!show(stream_.push(model_.tokenizer.token_bytes(*token)))) return FinishReason::kCancelled;
    if (stream_.stopped()) return FinishReason::kStop;
  }
}

// A guess that proves right makes the logits after it known too; a wrong one undoes what was read ahead.
void Generation::append(int32_t token) {
  if (grammar_) grammar_->accept(token);
  if (!draft_.empty()) {
    if (token == draft_.front()) {
      draft_.erase(draft_.begin());
      ++row_;
      ++result_.accepted_draft_tokens;
    } else {
      draft_length_.learn(n_drafted_, row_);
      sequence_.truncate(static_cast<int>(tokens_.size()));
      draft_.clear();
    }
  }
  tokens_.push_back(token);
  result_.tokens.push_back(token);
}

bool Generation::show(const std::string& text) {
  result_.text += text;
  return text.empty() || !on_text_ || on_text_(text);
}

std::optional<int32_t> Generation::next_token() {
  if (const auto forced = forced_token()) return forced;
  const int32_t token = sampler_.sample(next_logits(), tokens_, allowed_tokens());
  if (is_stop(token)) return std::nullopt;
  return token;
}

// Where the grammar leaves one choice the model need not be asked; such tokens are read together later.
std::optional<int32_t> Generation::forced_token() {
  if (!grammar_ || grammar_->complete()) return std::nullopt;
  const auto mask = grammar_->mask();
  std::optional<int32_t> only;
  for (size_t word = 0; word < mask.size(); ++word) {
    if (mask[word] == 0) continue;
    if (only || !std::has_single_bit(mask[word])) return std::nullopt;
    only = static_cast<int32_t>(word * 64) + std::countr_zero(mask[word]);
  }
  if (!only) throw Error(ErrorCode::kUnsupported, "the grammar allows none of the model's tokens here");
  return only;
}

std::span<const uint64_t> Generation::allowed_tokens() {
  if (!grammar_) return {};
  const auto mask = grammar_->mask();
  mask_.assign(mask.begin(), mask.end());
  if (grammar_->complete()) {
    for (const int32_t stop : model_.stop_tokens)
      mask_[static_cast<size_t>(stop / 64)] |= uint64_t{1} << (stop % 64);
  }
  return mask_;
}

// Logits after the last of tokens_, of the ids that the tokenizer knows.
std::span<float> Generation::next_logits() {
  if (sequence_.length() < static_cast<int>(tokens_.size())) read_pending();
  const size_t n_columns = logits_.size() / (n_drafted_ + 1);
  return std::span(logits_)
      .subspan(row_ * n_columns, n_columns)
      .first(std::min(n_columns, static_cast<size_t>(model_.tokenizer.size())));
}

// Reads what of tokens_ is not in the cache, and guessed tokens after it.
void Generation::read_pending() {
  const Stopwatch time;
  if (n_drafted_ > 0 && row_ == n_drafted_) draft_length_.learn(n_drafted_, row_);  // all were right
  const size_t room = std::min(static_cast<size_t>(model_.context_tokens) - tokens_.size(),
                               static_cast<size_t>(request_.max_new_tokens) - result_.tokens.size() - 1);
  const auto draft = look_up_draft(tokens_, std::min(draft_length_.now(), room));
  draft_.assign(draft.begin(), draft.end());
  n_drafted_ = draft_.size();
  row_ = 0;
  std::vector<int32_t> pending(tokens_.begin() + sequence_.length(), tokens_.end());
  pending.insert(pending.end(), draft_.begin(), draft_.end());
  const auto n = static_cast<int>(pending.size());
  model_.cache.reserve(sequence_, n);
  const SequenceSlice slice[] = {
      {pending, sequence_.length(), sequence_.pages(), static_cast<int>(n_drafted_) + 1}};
  model_.backend.forward({slice, {}}, logits_, cancel_);
  sequence_.advance(n);
  result_.draft_tokens += static_cast<int>(n_drafted_);
  if (result_.prefill_seconds == 0) result_.prefill_seconds = time.seconds();
}

bool Generation::is_stop(int32_t token) const {
  return std::find(model_.stop_tokens.begin(), model_.stop_tokens.end(), token) != model_.stop_tokens.end();
}

}  // namespace lectern
