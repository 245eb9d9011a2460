#include "engine/generation.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/error.h"

namespace lectern {

Generation::Generation(const Model& model, const GenerateRequest& request, Sink sink)
    : model_(model),
      request_(request),
      sink_(std::move(sink)),
      sampler_(request.sampling),
      stream_(request.stop),
      tokens_(request.prompt),
      reading_(model.pages),
      draft_length_(request.max_draft_tokens) {
  if (request.grammar) grammar_.emplace(request.grammar, model.tokenizer);
  result_.prompt_tokens = static_cast<int>(tokens_.size());
  reading_.tokens = tokens_;
  reading_.n_logits = 1;
  reading_.n_kept = request.keep_prefix_tokens;
}

Reading* Generation::reading(size_t i) {
  if (i > 0) return nullptr;
  if (!time_) time_.emplace();
  if (!started_) {
    started_ = true;
    go_on();  // a grammar may leave no choice
  }
  drop_guesses();  // after it: forced tokens are read too, and may have moved those before them
  if (done_) return nullptr;
  return &reading_;
}

void Generation::guess(Reading& reading, int most) {
  const size_t room = std::min(static_cast<size_t>(model_.context_tokens) - tokens_.size(),
                               static_cast<size_t>(request_.max_new_tokens) - result_.tokens.size() - 1);
  const auto found =
      look_up_draft(tokens_, std::min({draft_length_.now(), room, static_cast<size_t>(std::max(0, most))}));
  guesses_.assign(found.begin(), found.end());
  tokens_.insert(tokens_.end(), guesses_.begin(), guesses_.end());
  guesses_appended_ = true;
  n_guessed_ = guesses_.size();
  n_right_ = 0;
  reading.tokens = tokens_;
  reading.n_logits = static_cast<int>(n_guessed_) + 1;
}

void Generation::take(Reading&, int, int n_rows, std::span<float> logits) {
  if (!has_logits_ && sink_.prompt_read)
    sink_.prompt_read(std::min(reading_.length(), result_.prompt_tokens));
  if (n_rows == 0) return;
  if (!has_logits_) {
    has_logits_ = true;
    result_.prefill_seconds = time_->seconds();
    result_.cached_prompt_tokens = std::min(reading_.n_cached, result_.prompt_tokens);
  }
  result_.draft_tokens += static_cast<int>(n_guessed_);
  tokens_.resize(tokens_.size() - guesses_.size());
  guesses_appended_ = false;
  rows_ = logits;
  n_columns_ = logits.size() / static_cast<size_t>(n_rows);
  go_on();
  rows_ = {};
  drop_guesses();
}

// As far as what is known reaches: to where the model has to be asked, or to the end.
void Generation::go_on() {
  while (!done_) {
    if (grammar_ && grammar_->finished()) return finish(FinishReason::kStop);
    if (static_cast<int>(result_.tokens.size()) >= request_.max_new_tokens ||
        static_cast<int>(tokens_.size()) >= model_.context_tokens) {
      return finish(FinishReason::kLength);
    }
    std::optional<int32_t> token = forced_token();
    if (!token) {
      if (rows_.empty()) return;
      const size_t n_known = std::min(n_columns_, static_cast<size_t>(model_.tokenizer.size()));
      token = sampler_.sample(rows_.first(n_known), tokens_, allowed_tokens());
      if (is_stop(*token)) return finish(FinishReason::kStop);
    }
    append(*token);
    show(stream_.push(model_.tokenizer.token_bytes(*token)));
    if (stream_.stopped()) return finish(FinishReason::kStop);
  }
}

void Generation::finish(FinishReason reason) {
  result_.finish_reason = reason;
  done_ = true;
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

// A guess that proves right makes the logits after it known too; a wrong one undoes what was read ahead.
void Generation::append(int32_t token) {
  if (grammar_) grammar_->accept(token);
  if (!guesses_.empty() && token == guesses_.front()) {
    guesses_.erase(guesses_.begin());
    rows_ = rows_.subspan(n_columns_);
    ++result_.accepted_draft_tokens;
    if (++n_right_ == n_guessed_) draft_length_.learn(n_guessed_, n_right_);
  } else {
    if (!guesses_.empty()) draft_length_.learn(n_guessed_, n_right_);
    drop_guesses();
    rows_ = {};
  }
  tokens_.push_back(token);
  result_.tokens.push_back(token);
}

void Generation::drop_guesses() {
  if (guesses_appended_) tokens_.resize(tokens_.size() - guesses_.size());
  guesses_appended_ = false;
  guesses_.clear();
  reading_.tokens = tokens_;
  reading_.n_logits = 1;
  reading_.sequence.truncate(std::min(reading_.length(), static_cast<int>(tokens_.size())));
}

void Generation::show(std::string text) {
  if (text.empty()) return;
  result_.text += text;
  if (sink_.text) sink_.text(std::move(text), static_cast<int>(result_.tokens.size()));
}

bool Generation::is_stop(int32_t token) const {
  return std::find(model_.stop_tokens.begin(), model_.stop_tokens.end(), token) != model_.stop_tokens.end();
}

void Generation::put_back() {
  drop_guesses();
  reading_.sequence.truncate(0);
}

void Generation::end() {
  drop_guesses();
  std::string rest = stream_.finish();
  if (result_.finish_reason == FinishReason::kCancelled) {
    result_.text += rest;
  } else {
    show(std::move(rest));
  }
  result_.new_tokens = static_cast<int>(result_.tokens.size());
  if (time_) result_.decode_seconds = time_->seconds() - result_.prefill_seconds;
  const auto in_cache = static_cast<size_t>(reading_.length());
  if (const auto kept = static_cast<size_t>(request_.keep_prefix_tokens); kept <= in_cache) {
    model_.cache.store(std::span(tokens_).first(kept), reading_.sequence.pages());
    result_.kept_problem = model_.cache.take_kept_problem(std::span(tokens_).first(kept));
  }
  model_.cache.keep(std::span(tokens_).first(in_cache), std::move(reading_.sequence));
}

GenerateResult Generation::take_result(std::optional<int> n_shown) {
  if (n_shown) {
    result_.finish_reason = FinishReason::kCancelled;
    result_.tokens.resize(std::min(result_.tokens.size(), static_cast<size_t>(*n_shown)));
    result_.new_tokens = static_cast<int>(result_.tokens.size());
    TextStream stream(request_.stop);
    result_.text.clear();
    for (const int32_t token : result_.tokens)
      result_.text += stream.push(model_.tokenizer.token_bytes(token));
    result_.text += stream.finish();
  }
  return std::move(result_);
}

}  // namespace lectern
