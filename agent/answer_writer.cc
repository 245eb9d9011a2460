#include "agent/answer_writer.h"

#include "agent/answer_prompt.h"
#include "agent/cited_text.h"
#include "agent/model_profile.h"
#include "agent/support.h"

namespace lectern {
namespace {

void say_not_found(Asking& asking, const QueryPlan& plan, Answer& answer) {
  answer.found = false;
  answer.text = not_found_text(plan.question);
  if (asking.events.on_text) asking.events.on_text(answer.text);
}

// Where the passages hardly hold the answer, a reply is kept back until its first sentence is judged: one
// that nothing supports becomes "not in these documents".
class FirstSentence {
 public:
  explicit FirstSentence(bool holds) : holds_(holds) {}

  // What may be shown now.
  std::string feed(std::string_view text, const CitedText& cited) {
    held_ += text;
    if (holds_ && cited.n_judged() == 0 && held_.size() < kMaxHeldBytes) return {};
    return release(cited);
  }
  // The rest, when the reply is complete.
  std::string finish(const CitedText& cited) { return release(cited); }
  bool refused() const { return refused_; }

 private:
  static constexpr size_t kMaxHeldBytes = 600;

  std::string release(const CitedText& cited) {
    if (holds_ && cited.citations().empty()) refused_ = true;
    if (refused_) return {};
    holds_ = false;
    return std::move(held_);
  }

  bool holds_;
  bool refused_ = false;
  std::string held_;
};

}  // namespace

void write_answer(Asking& asking, const QueryPlan& plan, const FilledContext& context, int max_answer_tokens,
                  std::optional<double> likely, Answer& answer) {
  for (const EvidencePassage& passage : context.passages)
    answer.context.insert(answer.context.end(), passage.chunks.begin(), passage.chunks.end());
  answer.passages_left_out = context.left_out;
  if (context.passages.empty()) {
    asking.tracer.add("answer", "no passage was found: the model is not asked");
    return say_not_found(asking, plan, answer);
  }
  const EvidenceJudge& judge = profile_of(asking.model).judge;
  if (likely.value_or(1) < judge.refuse_below) return say_not_found(asking, plan, answer);
  const bool capitals_are_names = asking.documents.guess_language(plan.question) != "de";
  const SupportIndex support(context.passages, plan.question, plan.all_keywords(), capitals_are_names);
  bool wanted = true;
  const auto show = [&](std::string_view text) {
    wanted = !asking.events.on_text || asking.events.on_text(text);
    return wanted;
  };
  FirstSentence first(likely.value_or(1) < judge.support_below);
  const CitedText* written = nullptr;
  CitedText cited(context.passages, support, plan.question, [&](std::string_view text) {
    const std::string released = first.feed(text, *written);
    return !first.refused() && (released.empty() || show(released));
  });
  written = &cited;
  NotFoundGate gate;
  const auto on_text = [&](std::string_view piece) {
    return cited.feed(gate.feed(piece)) && !gate.not_found();
  };
  const auto refuse = [&] {
    asking.tracer.add("refused", "no passage supports what the model began to say", {{"text", cited.text()}});
    say_not_found(asking, plan, answer);
  };
  LmRequest request = answer_request(render_passages(context.passages), plan);
  request.max_new_tokens = max_answer_tokens;
  request.seed = asking.request.seed;
  asking.tracer.chat(asking.model, request, on_text, asking.cancel);
  if (gate.not_found()) return say_not_found(asking, plan, answer);
  if (first.refused()) return refuse();
  if (wanted) cited.feed(gate.finish());
  if (wanted && !first.refused()) cited.finish();
  const std::string rest = first.finish(cited);
  if (first.refused()) return refuse();
  if (wanted && !rest.empty()) show(rest);
  answer.text = cited.text();
  answer.citations = cited.citations();
  answer.unsupported = cited.unsupported();
  answer.found = !answer.text.empty() && !(answer.citations.empty() && says_not_found(answer.text));
  // A fragment ("May") makes no claim that could be checked: nothing supports it either.
  if (answer.found && answer.citations.empty() && answer.unsupported.empty())
    answer.unsupported = {{0, answer.text.size()}};
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
