#include "agent/answer_prompt.h"

#include <algorithm>
#include <array>

#include "agent/helper_call.h"
#include "agent/languages.h"
#include "agent/text_terms.h"
#include "base/ascii.h"
#include "prompts/prompts.h"

namespace lectern {
namespace {

// Without what a model likes to put first: blanks, quotes, emphasis, a passage number.
std::string_view without_opening(std::string_view reply) {
  const size_t begin = reply.find_first_not_of(" \n\t\"*[]0123456789");
  return begin == std::string_view::npos ? std::string_view{} : reply.substr(begin);
}

bool is_question(std::string_view text) {
  static constexpr std::array<std::string_view, 25> kOpenings = {
      "what", "who", "whom",  "whose", "when",  "where",  "which",  "why", "how",
      "is",   "are", "was",   "were",  "do",    "does",   "did",    "has", "have",
      "had",  "can", "could", "will",  "would", "should", "in what"};
  static constexpr std::array<std::string_view, 13> kChinese = {
      "什么", "谁", "哪", "多少", "几", "为何", "怎么", "怎样", "如何", "吗", "是否", "多长", "多久"};
  const size_t last = text.find_last_not_of(" \t\n");
  if (last == std::string_view::npos) return false;
  text = text.substr(0, last + 1);
  if (ends_in_question_mark(text)) return true;
  if (prompt_language(text) == "zh") {
    return std::any_of(kChinese.begin(), kChinese.end(),
                       [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
  }
  const std::string folded = ascii_lower(std::string(text.substr(0, 12)));
  return std::any_of(kOpenings.begin(), kOpenings.end(),
                     [&](std::string_view word) { return folded.starts_with(std::string(word) + " "); });
}

std::string rules_for(const QueryPlan& plan) {
  const std::string_view question = plan.question;
  const std::vector<std::string>& instruction = plan.instruction;
  const std::string_view language = prompt_language(question);
  std::string wanted;
  for (const std::string& item : instruction) wanted += (wanted.empty() ? "" : "; ") + item;
  if (!wanted.empty()) {
    return render_prompt(prompt_text(language, "answer_rules_instruction"), {{"instruction", wanted}});
  }
  if (!plan.known.empty()) return std::string(prompt_text(language, "answer_rules_known"));
  return render_prompt(prompt_text(language, is_question(question) ? "answer_rules" : "answer_rules_request"),
                       {});
}

// The question with what sub-questions found.
std::string question_of(const QueryPlan& plan) {
  if (plan.known.empty()) return plan.question;
  const std::string_view language = prompt_language(plan.question);
  std::string facts;
  for (const std::string& fact : plan.known) facts += (facts.empty() ? "- " : "\n- ") + fact;
  std::string question =
      plan.question + "\n" + render_prompt(prompt_text(language, "known"), {{"facts", facts}});
  if (!plan.conclusion.empty())
    question += "\n" + render_prompt(prompt_text(language, "known_answer"), {{"answer", plan.conclusion}});
  return question;
}

LmRequest request_with_rules(std::string purpose, std::string_view passages, const QueryPlan& plan,
                             std::string_view rules, std::string_view closest = {}) {
  const std::string question = question_of(plan);
  const std::string_view language = prompt_language(plan.question);
  std::string pointer;
  if (!closest.empty()) {
    pointer = render_prompt(prompt_text(language, "closest"), {{"sentence", fenced(closest)}}) + "\n\n";
  }
  LmRequest request;
  request.purpose = std::move(purpose);
  request.messages = to_messages(render_prompt_turns(
      prompt_text(language, "answer"),
      {{"passages", fenced(passages)}, {"closest", pointer}, {"question", question}, {"rules", rules}}));
  return request;
}

}  // namespace

std::string fenced(std::string_view passages) {
  std::string out;
  out.reserve(passages.size());
  for (size_t i = 0; i < passages.size(); ++i) {
    out.push_back(passages[i]);
    const std::string_view rest = passages.substr(i + 1);
    if (passages[i] == '<' && (rest.starts_with("/passages>") || rest.starts_with("passages>")))
      out.push_back(' ');
  }
  return out;
}

LmRequest answer_request(std::string_view passages, const QueryPlan& plan, std::string_view closest) {
  return request_with_rules("answer", passages, plan, rules_for(plan), closest);
}

size_t passages_end(const LmRequest& request) {
  constexpr std::string_view kEnd = "</passages>";  // the first one is ours: those in the text are broken
  const size_t at = request.messages.back().content.find(kEnd);
  return at == std::string::npos ? 0 : at + kEnd.size();
}

std::string how_to_answer(WholeTask task, std::string_view question) {
  return std::string(prompt_text(prompt_language(question),
                                 task == WholeTask::kCompare ? "how_to_compare" : "how_to_summarise"));
}

LmRequest sufficiency_request(std::string_view passages, const QueryPlan& plan) {
  return request_with_rules("sufficiency", passages, plan,
                            prompt_text(prompt_language(plan.question), "sufficiency_rules"));
}

LmRequest reply_judgement_request(std::string_view passages, const QueryPlan& plan, std::string_view reply) {
  const std::string_view rules = prompt_text(prompt_language(plan.question), "judge_reply_rules");
  return request_with_rules("judge_reply", passages, plan, render_prompt(rules, {{"reply", fenced(reply)}}));
}

std::string not_found_text(std::string_view question) {
  return std::string(prompt_text(prompt_language(question), "not_found"));
}

std::string NotFoundGate::feed(std::string_view piece) {
  if (state_ == State::kNotFound) return {};
  if (state_ == State::kAnswer) return std::string(piece);
  held_ += piece;
  const std::string_view reply = without_opening(held_);
  bool may_become = reply.empty() && held_.size() < 32;
  for (const std::string_view language : {"en", "zh"}) {
    std::string_view phrase = prompt_text(language, "not_found");
    phrase.remove_suffix(language == "en" ? 1 : std::string_view("。").size());
    if (reply.substr(0, phrase.size()) == phrase) {
      state_ = State::kNotFound;
      return {};
    }
    may_become |= reply.size() < phrase.size() && phrase.substr(0, reply.size()) == reply;
  }
  if (may_become) return {};
  state_ = State::kAnswer;
  return std::move(held_);
}

std::string NotFoundGate::finish() {
  if (state_ != State::kUndecided) return {};
  state_ = State::kAnswer;
  return std::move(held_);
}

}  // namespace lectern
