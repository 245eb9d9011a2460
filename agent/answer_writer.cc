#include "agent/answer_writer.h"

#include <utility>

#include "agent/answer_prompt.h"
#include "agent/cited_text.h"
#include "agent/closest_sentence.h"
#include "agent/likelier_reply.h"
#include "agent/loop_gate.h"
#include "agent/model_profile.h"
#include "agent/support.h"

namespace lectern {
namespace {

void give_context(const FilledContext& context, Answer& answer) {
  for (const EvidencePassage& passage : context.shown())
    answer.context.insert(answer.context.end(), passage.chunks.begin(), passage.chunks.end());
}

void say_not_found(Asking& asking, const QueryPlan& plan, Answer& answer) {
  answer.found = false;
  answer.text = not_found_text(plan.question);
  if (asking.events.on_text) asking.events.on_text(answer.text);
}

// How long is a reply kept from the person? Nothing that was shown is ever taken back.
struct Hold {
  bool first_sentence = false;  // until it is judged; when nothing supports it, the reply is rejected
  bool whole = false;           // until Writer::show_held()
};

class HeldText {
 public:
  explicit HeldText(Hold hold) : hold_(hold) {}

  // What may be shown now.
  std::string feed(std::string_view text, const CitedText& cited) {
    held_ += text;
    if (hold_.first_sentence) {
      if (cited.n_judged() == 0 && held_.size() < kMaxHeldBytes) return {};
      judge_first_sentence(cited);
    }
    return rejected_ || hold_.whole ? std::string() : take();
  }
  // The rest, when the reply is complete.
  std::string finish(const CitedText& cited) {
    if (hold_.first_sentence) judge_first_sentence(cited);
    return rejected_ || hold_.whole ? std::string() : take();
  }
  // All that is held.
  std::string take() { return std::exchange(held_, {}); }
  bool rejected() const { return rejected_; }

 private:
  static constexpr size_t kMaxHeldBytes = 600;

  void judge_first_sentence(const CitedText& cited) {
    rejected_ = cited.citations().empty();
    hold_.first_sentence = false;
  }

  Hold hold_;
  bool rejected_ = false;
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
        held_(hold),
        cited_(context.passages, support_, plan.question,
               [this](std::string_view text) { return emit(text); }) {}

  // The model's reply, pointed to the sentence `closest` unless that is empty. False: it was rejected, or
  // says that the documents do not answer; nothing was shown.
  bool ask(int max_answer_tokens, const std::string& closest = {}) {
    LmRequest request = answer_request(render_passages(context_.shown()), plan_, closest);
    request.max_new_tokens = max_answer_tokens;
    if (!closest.empty() &&
        asking_.model.count_tokens(request) + max_answer_tokens > asking_.model.context_tokens())
      return ask(max_answer_tokens, "");
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
    if (gate.not_found()) return false;
    std::string rest = loop.feed(gate.finish());
    rest += loop.finish(reply.truncated);
    return finish(rest) && !(wanted_ && cited_.text().empty());
  }

  // A complete reply that was held whole.
  void show_held() { show(held_.take()); }

  bool supported() const { return !cited_.citations().empty(); }
  std::string words() const { return cited_.words(); }

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
    if (held_.rejected()) {
      asking_.tracer.add("rejected", "no passage supports what the model began to say: " + cited_.text());
      return false;
    }
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
  AnswerCut cut_ = AnswerCut::kNone;
};

// Two replies, to the passages alone and pointed to their closest sentence, of which the better is shown.
void write_better(Asking& asking, const QueryPlan& plan, const FilledContext& context, int max_answer_tokens,
                  bool unlikely, const std::string& closest, Answer& answer) {
  const auto report = [&](uint64_t n_replies) {
    if (asking.events.on_progress)
      asking.events.on_progress({.stage = "replies", .items_done = n_replies, .items_total = 2});
  };
  const Hold hold{.first_sentence = unlikely, .whole = true};
  Writer plain(asking, plan, context, hold), pointed(asking, plan, context, hold);
  report(0);
  const bool has_plain = plain.ask(max_answer_tokens);
  report(1);
  const bool has_pointed = !asking.out_of_time() && pointed.ask(max_answer_tokens, closest);
  report(2);
  bool takes_pointed = false;
  if (has_pointed && has_plain && plain.supported() == pointed.supported()) {
    const std::string a = plain.words(), b = pointed.words();
    takes_pointed = a != b && prefers_pointed(asking, plan, context, a, b);
  } else {
    takes_pointed = has_pointed && pointed.supported();
  }
  if (!has_plain && !takes_pointed) return say_not_found(asking, plan, answer);
  Writer& better = takes_pointed ? pointed : plain;
  better.show_held();
  better.fill(answer);
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
  const bool one_sentence_answers = plan.known.empty() && plan.instruction.empty();
  if (profile.answers_twice && asking.request.level == Level::kAuto && one_sentence_answers &&
      !asking.out_of_time()) {
    const std::string closest = closest_sentence(asking, plan, context);
    if (!closest.empty())
      return write_better(asking, plan, context, max_answer_tokens, unlikely, closest, answer);
  }
  Writer writer(asking, plan, context, {.first_sentence = unlikely});
  if (!writer.ask(max_answer_tokens)) return say_not_found(asking, plan, answer);
  writer.fill(answer);
}

}  // namespace lectern
