#include "agent/answer_writer.h"

#include "agent/answer_prompt.h"
#include "agent/cited_text.h"
#include "agent/close_reading.h"
#include "agent/loop_gate.h"
#include "agent/model_profile.h"
#include "agent/support.h"

namespace lectern {
namespace {

void say_not_found(Asking& asking, const QueryPlan& plan, Answer& answer) {
  answer.found = false;
  answer.text = not_found_text(plan.question);
  if (asking.events.on_text) asking.events.on_text(answer.text);
}

// Until what is a reply kept from the person? Nothing that was shown is ever taken back.
enum class Hold {
  kNot,
  kFirstSentence,  // it is judged; when nothing supports it, the reply is rejected
  kSupported,      // a sentence is supported; when none is, the reply is rejected
};

class HeldText {
 public:
  explicit HeldText(Hold hold) : hold_(hold) {}

  // What may be shown now.
  std::string feed(std::string_view text, const CitedText& cited) {
    held_ += text;
    if (hold_ == Hold::kSupported && cited.citations().empty()) return {};
    if (hold_ == Hold::kFirstSentence && cited.n_judged() == 0 && held_.size() < kMaxHeldBytes) return {};
    return finish(cited);
  }
  // The rest, when the reply is complete.
  std::string finish(const CitedText& cited) {
    rejected_ |= hold_ != Hold::kNot && cited.citations().empty();
    if (rejected_) return {};
    hold_ = Hold::kNot;
    return std::move(held_);
  }
  bool rejected() const { return rejected_; }

 private:
  static constexpr size_t kMaxHeldBytes = 600;

  Hold hold_;
  bool rejected_ = false;
  std::string held_;
};

// One reply, or a text given as one, on its way through the checks to the person.
class Writer {
 public:
  Writer(Asking& asking, const QueryPlan& plan, const FilledContext& context, Hold hold)
      : asking_(asking),
        plan_(plan),
        context_(context),
        support_(context.passages, plan.question, plan.all_keywords(),
                 asking.documents.guess_language(plan.question) != "de"),
        held_(hold),
        cited_(context.passages, support_, plan.question,
               [this](std::string_view text) { return emit(text); }) {}

  // The model's reply. False: it was rejected, or says that the documents do not answer; nothing was shown.
  bool ask(int max_answer_tokens) {
    LmRequest request = answer_request(render_passages(context_.passages), plan_);
    request.max_new_tokens = max_answer_tokens;
    request.seed = asking_.request.seed;
    if (context_.comes_again) {
      request.keep_bytes = passages_end(request);
      request.on_prompt_read = [this](const PromptProgress& read) { report(read); };
    }
    NotFoundGate gate;
    LoopGate loop;
    const auto on_text = [&](std::string_view piece) {
      return cited_.feed(loop.feed(gate.feed(piece))) && !gate.not_found() && !loop.looping();
    };
    const LmReply reply = asking_.tracer.chat(asking_.model, request, on_text, asking_.cancel);
    if (loop.looping()) asking_.tracer.add("loop", "the reply began to go round in circles and was ended");
    cut_ = loop.looping() ? AnswerCut::kLoop : reply.truncated ? AnswerCut::kLimit : AnswerCut::kNone;
    says_not_found_ = gate.not_found();
    if (says_not_found_) return false;
    std::string rest = loop.feed(gate.finish());
    rest += loop.finish(reply.truncated);
    return finish(rest);
  }

  bool finish(std::string_view rest) {
    if (wanted_ && !held_.rejected()) cited_.feed(rest);
    if (wanted_ && !held_.rejected()) cited_.finish();
    const std::string held = held_.finish(cited_);
    if (held_.rejected()) return false;
    if (wanted_ && !held.empty()) show(held);
    return true;
  }

  bool says_not_found() const { return says_not_found_; }
  AnswerCut cut() const { return cut_; }
  const std::string& text() const { return cited_.text(); }

  void fill(Answer& answer) {
    answer.text = cited_.text();
    answer.cut = cut_;
    answer.citations = cited_.citations();
    answer.unsupported = cited_.unsupported();
    answer.found =
        !answer.text.empty() && !(answer.citations.empty() && lectern::says_not_found(answer.text));
    // A fragment ("May") makes no claim that could be checked: nothing supports it either.
    if (answer.found && answer.citations.empty() && answer.unsupported.empty())
      answer.unsupported = {{0, answer.text.size()}};
    const CitedText::Counts& counts = cited_.counts();
    asking_.tracer.add("citations", std::to_string(answer.citations.size()) + " verified",
                       {{"kept", counts.kept},
                        {"repointed", counts.repointed},
                        {"dropped", counts.dropped},
                        {"attached", counts.attached},
                        {"unquoted", counts.unquoted},
                        {"unsupported", answer.unsupported.size()}});
  }

 private:
  bool emit(std::string_view text) {
    const std::string released = held_.feed(text, cited_);
    return !held_.rejected() && (released.empty() || show(released));
  }
  void report(const PromptProgress& read) const {
    if (!asking_.events.on_progress) return;
    asking_.events.on_progress({.stage = "reading",
                                .items_done = static_cast<uint64_t>(read.tokens),
                                .items_total = static_cast<uint64_t>(read.total),
                                .work_done = read.work});
  }
  bool show(std::string_view text) {
    wanted_ = !asking_.events.on_text || asking_.events.on_text(text);
    return wanted_;
  }

  Asking& asking_;
  const QueryPlan& plan_;
  const FilledContext& context_;
  SupportIndex support_;
  HeldText held_;
  CitedText cited_;
  bool wanted_ = true;
  bool says_not_found_ = false;
  AnswerCut cut_ = AnswerCut::kNone;
};

// A reply that nothing supports is given a second chance where the level is ours to choose: the model answers
// from the few sentences that answer the question best.
bool answer_closely(Asking& asking, const QueryPlan& plan, const FilledContext& context,
                    int max_answer_tokens, Answer& answer) {
  if (asking.out_of_time()) return false;
  const std::optional<FilledContext> closer = read_closely(asking, plan, context);
  if (!closer) return false;
  Writer second(asking, plan, *closer, Hold::kSupported);
  if (!second.ask(max_answer_tokens)) return false;
  second.fill(answer);
  return true;
}

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
  const ModelProfile& profile = profile_of(asking.model);
  if (likely.value_or(1) < profile.judge.refuse_below) return say_not_found(asking, plan, answer);
  const bool unlikely = likely.value_or(1) < profile.judge.support_below;
  const bool second_chance = profile.reads_closely && asking.request.level == Level::kAuto &&
                             plan.known.empty() && plan.instruction.empty();
  Writer first(asking, plan, context,
               unlikely        ? Hold::kFirstSentence
               : second_chance ? Hold::kSupported
                               : Hold::kNot);
  if (first.ask(max_answer_tokens)) return first.fill(answer);
  if (!first.says_not_found())
    asking.tracer.add("rejected", "no passage supports what the model began to say",
                      {{"text", first.text()}});
  if (second_chance && answer_closely(asking, plan, context, max_answer_tokens, answer)) return;
  if (unlikely || first.says_not_found()) return say_not_found(asking, plan, answer);
  Writer as_it_was(asking, plan, context, Hold::kNot);
  as_it_was.finish(first.text());
  as_it_was.fill(answer);
  answer.cut = first.cut();
}

}  // namespace lectern
