#include "agent/answer_writer.h"

#include "agent/answer_prompt.h"
#include "agent/cited_text.h"
#include "agent/close_reading.h"
#include "agent/loop_gate.h"
#include "agent/model_profile.h"
#include "agent/support.h"

namespace lectern {
namespace {

void give_context(const FilledContext& context, Answer& answer) {
  answer.context.clear();  // of an earlier reply
  for (const EvidencePassage& passage : context.shown())
    answer.context.insert(answer.context.end(), passage.chunks.begin(), passage.chunks.end());
}

void say_not_found(Asking& asking, const QueryPlan& plan, Answer& answer) {
  answer.found = false;
  answer.text = not_found_text(plan.question);
  if (asking.events.on_text) asking.events.on_text(answer.text);
}

// Until what is a reply kept from the person? Nothing that was shown is ever taken back.
struct Hold {
  bool first_sentence = false;  // it is judged; when nothing supports it, the reply is rejected at once
  bool supported = false;       // a sentence is supported; when none is, the reply is rejected
  // A sentence is supported by one that holds as many of the question's words as any of the passages, or the
  // reply rests on so many that it is not one sentence misread; else it is rejected.
  bool closest = false;
};

class HeldText {
 public:
  HeldText(Hold hold, double most_asked) : hold_(hold), most_asked_(most_asked) {}

  // What may be shown now.
  std::string feed(std::string_view text, const CitedText& cited) {
    held_ += text;
    if (hold_.first_sentence) {
      if (cited.n_judged() == 0 && held_.size() < kMaxHeldBytes) return {};
      judge_first_sentence(cited);
    }
    if (rejected_ || !may_be_shown(cited)) return {};
    hold_ = {};
    return std::move(held_);
  }
  // The rest, when the reply is complete.
  std::string finish(const CitedText& cited) {
    if (hold_.first_sentence) judge_first_sentence(cited);
    rejected_ |= !may_be_shown(cited);
    if (rejected_) return {};
    return std::move(held_);
  }
  // All of it, rejected or not.
  std::string take() { return std::move(held_); }
  bool rejected() const { return rejected_; }
  // Because of its first sentence.
  bool rejected_at_once() const { return at_once_; }

 private:
  static constexpr size_t kMaxHeldBytes = 600;
  static constexpr size_t kManyQuotes = 4;

  void judge_first_sentence(const CitedText& cited) {
    at_once_ = cited.citations().empty();
    rejected_ |= at_once_;
    hold_.first_sentence = false;
  }
  bool may_be_shown(const CitedText& cited) const {
    if ((hold_.supported || hold_.closest) && cited.citations().empty()) return false;
    return !hold_.closest || cited.most_asked() >= most_asked_ || cited.citations().size() >= kManyQuotes;
  }

  Hold hold_;
  double most_asked_;
  bool rejected_ = false, at_once_ = false;
  std::string held_;
};

// One reply on its way through the checks to the person.
class Writer {
 public:
  Writer(Asking& asking, const QueryPlan& plan, const FilledContext& context, Hold hold)
      : asking_(asking),
        plan_(plan),
        context_(context),
        support_(context.passages, plan.question, plan.all_keywords(),
                 asking.documents.guess_language(plan.question) != "de"),
        held_(hold, support_.most_asked()),
        cited_(context.passages, support_, plan.question,
               [this](std::string_view text) { return emit(text); }) {}

  // The model's reply. False: it was rejected, or says that the documents do not answer; nothing was shown.
  bool ask(int max_answer_tokens) {
    LmRequest request = answer_request(render_passages(context_.shown()), plan_);
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

  // A complete reply that was rejected and is shown all the same: there is no better one.
  void show_rejected() { show(held_.take()); }

  bool says_not_found() const { return says_not_found_; }
  bool rejected_at_once() const { return held_.rejected_at_once(); }
  std::vector<std::string> quotes() const {
    std::vector<std::string> out;
    for (const Citation& citation : cited_.citations()) out.push_back(citation.quote);
    return out;
  }
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
  bool finish(std::string_view rest) {
    if (wanted_ && !held_.rejected()) cited_.feed(rest);
    if (wanted_ && !held_.rejected()) cited_.finish();
    const std::string held = held_.finish(cited_);
    if (held_.rejected()) return false;
    if (wanted_ && !held.empty()) show(held);
    return true;
  }
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

// A reply that nothing supports, or that seems to rest on the wrong sentence, is given a second chance where
// the level is ours to choose: the model answers from the few sentences that answer the question best.
bool answer_closely(Asking& asking, const QueryPlan& plan, const FilledContext& context,
                    const std::vector<std::string>& cited, int max_answer_tokens, Answer& answer) {
  if (asking.out_of_time()) return false;
  const std::optional<FilledContext> closer = read_closely(asking, plan, context, cited);
  if (!closer) return false;
  Writer second(asking, plan, *closer, {.supported = true});
  if (!second.ask(max_answer_tokens)) return false;
  give_context(*closer, answer);
  second.fill(answer);
  return true;
}

}  // namespace

void write_answer(Asking& asking, const QueryPlan& plan, const FilledContext& context, int max_answer_tokens,
                  std::optional<double> likely, Answer& answer) {
  give_context(context, answer);
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
  Writer first(asking, plan, context, {.first_sentence = unlikely, .closest = second_chance});
  if (first.ask(max_answer_tokens)) return first.fill(answer);
  const std::vector<std::string> cited = first.says_not_found() ? std::vector<std::string>{} : first.quotes();
  if (!first.says_not_found()) {
    asking.tracer.add("rejected",
                      cited.empty() ? "no passage supports what the model began to say"
                                    : "other sentences hold more of the question's words than those cited",
                      {{"text", first.text()}});
  }
  if (second_chance && answer_closely(asking, plan, context, cited, max_answer_tokens, answer)) return;
  if (first.says_not_found() || first.rejected_at_once()) return say_not_found(asking, plan, answer);
  first.show_rejected();
  first.fill(answer);
}

}  // namespace lectern
