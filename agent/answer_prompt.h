// The request that asks for the answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/language_model.h"
#include "agent/query_plan.h"
#include "agent/whole_request.h"

namespace lectern {

// Passages (as render_passages gives them) inside a fence, then the sentence of them that comes closest to
// the question, unless it is empty (closest_sentence.h), then the question with what is known already, then
// how to answer; in Chinese for a Chinese question.
LmRequest answer_request(std::string_view passages, const QueryPlan& plan, std::string_view closest = {});

// Bytes of an answer request's last message up to where its passages end: what is the same for every
// question.
size_t passages_end(const LmRequest& request);

// What is asked of an answer to a summary or a comparison of whole documents, as an instruction.
std::string how_to_answer(WholeTask task, std::string_view question);

// Text that cannot close the fence that passages stand in: a blank is set into what looks like one.
std::string fenced(std::string_view passages);

// The same beginning, then the question whether the passages hold the answer, to be scored: Yes or No (是,
// 否).
LmRequest sufficiency_request(std::string_view passages, const QueryPlan& plan);

// The same beginning, then the question whether `reply` answers it, to be scored as well.
LmRequest reply_judgement_request(std::string_view passages, const QueryPlan& plan, std::string_view reply);

// "Not in these documents." in the language of the question.
std::string not_found_text(std::string_view question);

// Holds back the beginning of a reply until it is clear whether it is the agreed "not in these documents".
class NotFoundGate {
 public:
  // What may be passed on now.
  std::string feed(std::string_view piece);
  // The rest, when the reply ends.
  std::string finish();
  bool not_found() const { return state_ == State::kNotFound; }

 private:
  enum class State { kUndecided, kAnswer, kNotFound };
  State state_ = State::kUndecided;
  std::string held_;
};

}  // namespace lectern
