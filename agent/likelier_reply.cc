#include "agent/likelier_reply.h"

#include <array>

#include "agent/answer_prompt.h"
#include "agent/languages.h"

namespace lectern {
namespace {

// By so many nats of log-odds the plain reply must be likelier to be taken (docs/evaluation.md, "Two replies
// at level auto").
constexpr double kClearly = 0.1;

}  // namespace

bool prefers_pointed(Asking& asking, const QueryPlan& plan, const FilledContext& context,
                     const std::string& plain, const std::string& pointed) {
  const Stopwatch watch;
  const std::string passages = render_passages(context.shown());
  const std::array requests = {reply_judgement_request(passages, plan, plain),
                               reply_judgement_request(passages, plan, pointed)};
  double log_odds[2] = {0, 0};
  try {
    const auto scores = asking.model.score_choices(requests, yes_and_no(plan.question), asking.cancel);
    for (size_t i = 0; i < 2; ++i) log_odds[i] = scores[i][0] - scores[i][1];
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
  }
  const bool takes_pointed = log_odds[0] - log_odds[1] <= kClearly;
  TraceStep step;
  step.kind = "two_replies";
  step.detail = std::string(takes_pointed ? "the one of the closest sentence" : "the one of all passages") +
                " is taken, not: " + (takes_pointed ? plain : pointed);
  step.data = {{"plain", plain},
               {"pointed", pointed},
               {"plain_log_odds", log_odds[0]},
               {"pointed_log_odds", log_odds[1]}};
  step.seconds = watch.seconds();
  asking.tracer.add(std::move(step));
  return takes_pointed;
}

}  // namespace lectern
