#include "agent/agent.h"

#include <algorithm>

#include "agent/answer_writer.h"
#include "agent/asking.h"
#include "agent/context.h"
#include "agent/map_reduce.h"
#include "agent/model_profile.h"
#include "agent/read_level.h"
#include "agent/retrieve.h"
#include "agent/self_ask.h"
#include "agent/several_hops.h"
#include "agent/sufficiency.h"
#include "agent/whole_text.h"
#include "agent/window.h"

namespace lectern {
namespace {

constexpr int kMaxHistoryTokens = 768;
// Chunks that are read one by one when retrieval found too little and nobody set a budget.
constexpr int kMaxEscalatedChunks = 32;

// A chat follow-up becomes a question of its own.
QueryPlan understand(Asking& asking) {
  QueryPlan plan;
  plan.question = standalone_question(asking.helpers(), asking.request.history, asking.request.question,
                                      std::min(kMaxHistoryTokens, asking.helper.context_tokens() / 4));
  plan.information = {plan.question};
  return plan;
}

void route(Asking& asking, Level level, const std::string& reason, int fit_tokens) {
  asking.tracer.add("route", "level " + std::string(to_string(level)) + ": " + reason,
                    {{"level", to_string(level)},
                     {"characters", asking.documents.n_characters()},
                     {"chunks", asking.documents.n_chunks()},
                     {"fit_tokens", fit_tokens}});
}

// Level 0, when everything fits. A small model finds one fact after another better than all at once.
std::optional<FilledContext> read_whole(Asking& asking, const QueryPlan& plan, WholeTask task) {
  const WindowShare share = share_window(asking.model, asking.request, plan);
  if (asking.request.level != Level::kAuto && asking.request.level != Level::kFit) {
    route(asking, asking.request.level, "as asked", 0);
    return std::nullopt;
  }
  const bool forced = asking.request.level == Level::kFit;
  const bool by_hops = task == WholeTask::kNone && hops_of(plan.question) != Hops::kOne;
  if (!forced && by_hops && !profile_of(asking.model).reads_long) return std::nullopt;
  const int fit = forced ? share.passages : std::min(share.passages, profile_of(asking.model).fit_tokens);
  if (std::optional<FilledContext> whole = whole_documents(asking.documents, asking.model, fit)) {
    route(asking, Level::kFit, "the documents fit: all " + std::to_string(whole->tokens) + " tokens are read",
          fit);
    return whole;
  }
  if (forced) {
    throw Error(ErrorCode::kInvalidArgument, "level 0 reads everything, and the documents (" +
                                                 std::to_string(asking.documents.n_characters()) +
                                                 " characters) do not fit the " + std::to_string(fit) +
                                                 " tokens left for them: use level 1 or fewer documents");
  }
  if (task != WholeTask::kNone) {
    route(asking, Level::kWhole, "a " + std::string(to_string(task)) + " of whole documents is asked for",
          fit);
    return std::nullopt;
  }
  route(asking, Level::kRetrieve,
        "the documents are more than the " + std::to_string(fit) +
            " tokens that are read whole: passages are retrieved",
        fit);
  return std::nullopt;
}

FilledContext fill(Asking& asking, const std::vector<SourcePassage>& ranked, int max_tokens) {
  FilledContext context = fill_context(ranked, asking.model, max_tokens);
  asking.tracer.add("context",
                    std::to_string(ranked.size() - static_cast<size_t>(context.left_out)) + " of " +
                        std::to_string(ranked.size()) + " ranked chunks, " + std::to_string(context.tokens) +
                        " of " + std::to_string(max_tokens) + " tokens",
                    {{"chunks_in", ranked.size()},
                     {"left_out", context.left_out},
                     {"orders_left_out", context.orders},
                     {"tokens", context.tokens},
                     {"budget", max_tokens}});
  return context;
}

// Level 3: the evidence of every hop comes first, the best passages of level 1 fill up.
std::vector<SourcePassage> ask_itself(Asking& asking, QueryPlan& plan, std::vector<SourcePassage> ranked) {
  const std::vector<Hop> hops = self_ask(asking, plan);
  plan.known = known_facts(hops);
  plan.conclusion = conclude(asking, plan, hops);
  std::vector<SourcePassage> evidence;
  for (const Hop& hop : hops) evidence.insert(evidence.end(), hop.evidence.begin(), hop.evidence.end());
  const size_t wanted = std::max(evidence.size(), ranked.size());
  for (SourcePassage& passage : ranked) evidence.push_back(std::move(passage));
  return first_of_each(std::move(evidence), wanted);
}

struct Evidence {
  FilledContext context;
  std::optional<double> likely;  // that it holds the answer, where that was judged
};

Evidence read_chunks(Asking& asking, QueryPlan& plan, int max_chunks) {
  const ReadResult read = read_and_rank(asking, plan, wanted_passages(asking), max_chunks);
  return {fill(asking, read.best, share_window(asking.model, asking.request, plan).passages), read.likely};
}

Evidence find_evidence(Asking& asking, QueryPlan& plan, Level level) {
  if (asking.documents.n_chunks() == 0) return {};
  if (level == Level::kRead) return {read_chunks(asking, plan, 0).context, std::nullopt};
  // Where keywords had to be found, between languages above all, the search is less sure of its best chunks.
  const int wanted = wanted_passages(asking),
            unsure = asking.request.max_passages > 0 ? wanted : wanted * 3 / 2;
  std::vector<SourcePassage> ranked = retrieve(asking, plan, unsure);
  if (plan.keywords.empty() && ranked.size() > static_cast<size_t>(wanted))
    ranked.resize(static_cast<size_t>(wanted));
  if (level == Level::kSelfAsk) {
    ranked = ask_itself(asking, plan, std::move(ranked));
    if (plan.known.empty()) level = Level::kRetrieve;  // nothing came of it: the passages are judged as there
  }
  std::vector<SourcePassage> lesser;
  if (level == Level::kRetrieve) lesser = take_lesser(asking, plan, ranked);
  Evidence evidence;
  evidence.context = fill(asking, ranked, share_window(asking.model, asking.request, plan).passages);
  add_unread(std::move(lesser), evidence.context);
  if (level == Level::kRetrieve)
    evidence.likely = sufficiency(asking, plan, evidence.context, Passages::kFound);
  return evidence;
}

// Level 1 found hardly anything of the question: chunks are read one by one before it is refused. Where it
// found nothing, no chunk is a better beginning than another: only when all are read.
bool read_instead(Asking& asking, const Evidence& evidence) {
  const bool all = asking.documents.n_chunks() <= kMaxEscalatedChunks;
  const double likely = evidence.context.passages.empty() ? (all ? 0 : 1) : evidence.likely.value_or(1);
  if (asking.request.level != Level::kAuto || asking.out_of_time() ||
      likely >= profile_of(asking.model).judge.refuse_below)
    return false;
  route(asking, Level::kRead, "the passages found hardly hold the answer: chunks are read one by one", 0);
  return true;
}

Level level_of(Asking& asking, const QueryPlan& plan) {
  if (asking.request.level != Level::kAuto) return asking.request.level;
  const Hops hops = hops_of(plan.question);
  if (hops == Hops::kOne) return Level::kRetrieve;
  route(asking, Level::kSelfAsk,
        hops == Hops::kComparison ? "two things are compared" : "one fact must be found before the next", 0);
  return Level::kSelfAsk;
}

void answer_question(Asking& asking, Answer& answer) {
  check_question(asking.model, asking.request.question);
  QueryPlan plan = understand(asking);
  answer.standalone_question = plan.question;
  const WholeRequest whole = understand_whole(asking, plan);
  if (asking.request.level == Level::kNative) {
    route(asking, Level::kNative, "as asked", 0);
    answer.level = Level::kNative;
    return answer_from_whole_text(asking, std::move(plan), whole, std::nullopt, answer);
  }
  std::optional<FilledContext> context = read_whole(asking, plan, whole.task);
  if (!context && whole.task != WholeTask::kNone) {
    if (std::optional<FilledContext> text = better_read_at_once(asking, plan, whole)) {
      route(asking, Level::kNative, "the documents fit the window, and reading them in spans is no shorter",
            0);
      answer.level = Level::kNative;
      return answer_from_whole_text(asking, std::move(plan), whole, std::move(text), answer);
    }
    answer.level = Level::kWhole;
    return answer_whole(asking, std::move(plan), whole, answer);
  }
  Evidence evidence;
  if (context) {
    answer.level = Level::kFit;
    evidence.context = std::move(*context);
    evidence.likely = sufficiency(asking, plan, evidence.context, Passages::kAll);
  } else {
    answer.level = level_of(asking, plan);
    evidence = find_evidence(asking, plan, answer.level);
    if (answer.level == Level::kRetrieve && read_instead(asking, evidence)) {
      answer.level = Level::kRead;
      evidence = read_chunks(asking, plan, kMaxEscalatedChunks);
    }
  }
  const int answer_tokens = share_window(asking.model, asking.request, plan).answer;
  write_answer(asking, plan, evidence.context, answer_tokens, evidence.likely, answer);
}

}  // namespace

std::string_view to_string(Level level) {
  switch (level) {
    case Level::kAuto:
      return "auto";
    case Level::kFit:
      return "0";
    case Level::kRetrieve:
      return "1";
    case Level::kRead:
      return "2";
    case Level::kSelfAsk:
      return "3";
    case Level::kNative:
      return "4";
    case Level::kWhole:
      return "whole";
  }
  return "";
}

std::string_view to_string(AnswerCut cut) {
  switch (cut) {
    case AnswerCut::kNone:
      return "none";
    case AnswerCut::kLimit:
      return "limit";
    case AnswerCut::kLoop:
      return "loop";
  }
  return "";
}

std::optional<Level> parse_level(std::string_view name) {
  for (const Level level : {Level::kAuto, Level::kFit, Level::kRetrieve, Level::kRead, Level::kSelfAsk,
                            Level::kNative, Level::kWhole}) {
    if (to_string(level) == name) return level;
  }
  return std::nullopt;
}

Answer Agent::ask(const AskRequest& request, const AskEvents& events, const CancelToken& cancel) {
  Answer answer;
  Tracer tracer(answer.trace, events.on_step);
  Asking asking{*model_, *helper_, *documents_, request, events, tracer, cancel};
  answer_question(asking, answer);
  return answer;
}

}  // namespace lectern
