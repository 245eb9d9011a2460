#include "agent/window.h"

#include <algorithm>

#include "agent/answer_prompt.h"
#include "base/error.h"

namespace lectern {
namespace {

// A question may take this share of the window: the rest is for passages and the answer.
constexpr int kQuestionShare = 4;
constexpr int kMinPassageTokens = 64;

}  // namespace

void check_question(const LanguageModel& model, const std::string& question) {
  if (question.find_first_not_of(" \t\r\n") == std::string::npos) {
    throw Error(ErrorCode::kInvalidArgument, "the question is empty: ask something about the documents");
  }
  const int limit = model.context_tokens() / kQuestionShare;
  // No token is longer than 256 bytes: beyond that there is nothing to count.
  const bool absurd = question.size() / 256 > static_cast<size_t>(limit);
  const int tokens = absurd ? 0 : model.count_tokens(question);
  if (absurd || tokens > limit) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "the question is too long: " +
            (absurd ? std::to_string(question.size()) + " bytes" : std::to_string(tokens) + " tokens") +
            ", the limit is " + std::to_string(limit) + " tokens (a quarter of the " +
            std::to_string(model.context_tokens()) + " that " + model.name() +
            " has). Put long text into a document and ask about it.");
  }
}

WindowShare share_window(const LanguageModel& model, const AskRequest& request, const QueryPlan& plan) {
  const int window = model.context_tokens();
  WindowShare share;
  share.answer = std::clamp(request.max_answer_tokens, 1, std::max(1, window / 4));
  const int prompt = model.count_tokens(answer_request("", plan));
  share.room = window - share.answer - prompt;
  share.passages = std::min(request.context_tokens, share.room);
  if (share.room < kMinPassageTokens) {
    throw Error(ErrorCode::kInvalidArgument, "the question leaves no room for passages: prompt " +
                                                 std::to_string(prompt) + " and answer " +
                                                 std::to_string(share.answer) + " of the " +
                                                 std::to_string(window) + " tokens that " + model.name() +
                                                 " has. Shorten the question or ask for a shorter answer.");
  }
  return share;
}

}  // namespace lectern
