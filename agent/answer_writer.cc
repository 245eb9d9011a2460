#include "agent/answer_writer.h"

#include "agent/answer_prompt.h"
#include "agent/cited_text.h"
#include "agent/model_profile.h"
#include "agent/sufficiency.h"
#include "agent/support.h"

namespace lectern {
namespace {

void say_not_found(Asking& asking, const QueryPlan& plan, Answer& answer) {
  answer.found = false;
  answer.text = not_found_text(plan.question);
  if (asking.events.on_text) asking.events.on_text(answer.text);
}

}  // namespace

void write_answer(Asking& asking, const QueryPlan& plan, const FilledContext& context, int max_answer_tokens,
                  Answer& answer) {
  for (const EvidencePassage& passage : context.passages)
    answer.context.insert(answer.context.end(), passage.chunks.begin(), passage.chunks.end());
  answer.passages_left_out = context.left_out;
  if (context.passages.empty()) {
    asking.tracer.add("answer", "no passage was found: the model is not asked");
    return say_not_found(asking, plan, answer);
  }
  const SufficiencyWeights& judge = profile_of(asking.model).sufficiency;
  const double likely = judge.refuse_below > 0 ? sufficiency(asking, plan, context).value_or(1) : 1;
  if (likely < judge.refuse_below) return say_not_found(asking, plan, answer);
  const bool capitals_are_names = asking.documents.guess_language(plan.question) != "de";
  const SupportIndex support(context.passages, plan.question, plan.all_keywords(), capitals_are_names);
  bool wanted = true;
  CitedText cited(context.passages, support, plan.question, [&](std::string_view text) {
    wanted = !asking.events.on_text || asking.events.on_text(text);
    return wanted;
  });
  NotFoundGate gate;
  const auto on_text = [&](std::string_view piece) {
    return cited.feed(gate.feed(piece)) && !gate.not_found();
  };
  LmRequest request = answer_request(render_passages(context.passages), plan.question, plan.instruction);
  request.max_new_tokens = max_answer_tokens;
  request.seed = asking.request.seed;
  asking.tracer.chat(asking.model, request, on_text, asking.cancel);
  if (gate.not_found()) return say_not_found(asking, plan, answer);
  if (wanted) cited.feed(gate.finish());
  if (wanted) cited.finish();
  answer.text = cited.text();
  answer.citations = cited.citations();
  answer.unsupported = cited.unsupported();
  answer.found = !answer.text.empty() && !(answer.citations.empty() && says_not_found(answer.text));
  const CitedText::Counts& counts = cited.counts();
  asking.tracer.add("citations", std::to_string(answer.citations.size()) + " verified",
                    {{"kept", counts.kept},
                     {"repointed", counts.repointed},
                     {"dropped", counts.dropped},
                     {"attached", counts.attached},
                     {"unquoted", counts.unquoted},
                     {"unsupported", answer.unsupported.size()}});
}

}  // namespace lectern
