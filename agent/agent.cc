#include "agent/agent.h"

#include <algorithm>

#include "agent/answer_prompt.h"
#include "agent/cited_text.h"
#include "agent/context.h"
#include "agent/languages.h"
#include "agent/model_profile.h"
#include "agent/query_plan.h"
#include "agent/support.h"
#include "agent/tracer.h"

namespace lectern {
namespace {

// A question may take this share of the window: the rest is for passages and the answer.
constexpr int kQuestionShare = 4;
constexpr int kMinPassageTokens = 64;
constexpr int kMaxHistoryTokens = 768;
// No ranking is asked for more chunks than this.
constexpr int kMaxRanked = 400;
// Below this share of its words in the best passages, a question needs other words to find anything.
constexpr double kWeakSearch = 0.34;

struct Budget {
  int answer = 0;    // tokens kept for the reply
  int passages = 0;  // tokens for passages
};

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

Budget budget_for(const LanguageModel& model, const AskRequest& request, const std::string& question,
                  const std::vector<std::string>& instruction) {
  const int window = model.context_tokens();
  Budget budget;
  budget.answer = std::clamp(request.max_answer_tokens, 1, std::max(1, window / 4));
  const int prompt = model.count_tokens(answer_request("", question, instruction));
  budget.passages = std::min(request.context_tokens, window - budget.answer - prompt);
  if (window - budget.answer - prompt < kMinPassageTokens) {
    throw Error(ErrorCode::kInvalidArgument, "the question leaves no room for passages: prompt " +
                                                 std::to_string(prompt) + " and answer " +
                                                 std::to_string(budget.answer) + " of the " +
                                                 std::to_string(window) + " tokens that " + model.name() +
                                                 " has. Shorten the question or ask for a shorter answer.");
  }
  return budget;
}

// Share of the question's words found in the best passages together.
double words_found(const std::string& question, const std::vector<SourcePassage>& best) {
  const std::vector<SupportTerm> asked = support_terms(question);
  if (asked.empty()) return 1;
  std::vector<std::string> held;
  for (size_t i = 0; i < std::min<size_t>(best.size(), 4); ++i) {
    for (SupportTerm& term : support_terms(best[i].text + "\n" + best[i].title))
      held.push_back(std::move(term.text));
  }
  std::sort(held.begin(), held.end());
  const auto n = std::count_if(asked.begin(), asked.end(), [&](const SupportTerm& term) {
    return std::binary_search(held.begin(), held.end(), term.text);
  });
  return static_cast<double>(n) / static_cast<double>(asked.size());
}

Json describe_hits(const std::vector<SourcePassage>& hits) {
  Json out = Json::array();
  for (const SourcePassage& hit : hits) {
    out.push_back(
        {{"path", hit.path}, {"chunk", hit.chunk_id}, {"ordinal", hit.ordinal}, {"score", hit.score}});
    if (out.size() == 50) break;
  }
  return out;
}

// One question on its way to an answer.
class Asking {
 public:
  Asking(LanguageModel& model, DocumentSource& documents, const AskRequest& request, const AskEvents& events,
         const CancelToken& cancel)
      : model_(model),
        documents_(documents),
        request_(request),
        events_(events),
        cancel_(cancel),
        tracer_(answer_.trace, events_.on_step) {}

  Answer run() {
    check_question(model_, request_.question);
    understand();
    FilledContext context = read();
    for (const EvidencePassage& passage : context.passages) {
      answer_.context.insert(answer_.context.end(), passage.chunks.begin(), passage.chunks.end());
    }
    answer_.passages_left_out = context.left_out;
    if (context.passages.empty()) {
      tracer_.add("answer", "no passage was found: the model is not asked");
      say_not_found();
    } else {
      write(context);
    }
    return std::move(answer_);
  }

 private:
  HelperContext helpers() { return {model_, tracer_, cancel_}; }

  void understand() {
    plan_.question = standalone_question(helpers(), request_.history, request_.question,
                                         std::min(kMaxHistoryTokens, model_.context_tokens() / 4));
    answer_.standalone_question = plan_.question;
    plan_.information = {plan_.question};
  }

  // Chooses the level and fills the context.
  FilledContext read() {
    budget_ = budget_for(model_, request_, plan_.question, plan_.instruction);
    const int fit = request_.level == Level::kFit ? budget_.passages
                                                  : std::min(budget_.passages, profile_of(model_).fit_tokens);
    if (request_.level != Level::kRetrieve) {
      if (std::optional<FilledContext> whole = whole_documents(documents_, model_, fit)) {
        answer_.level = Level::kFit;
        route("the documents fit: all " + std::to_string(whole->tokens) + " tokens are read", fit);
        return std::move(*whole);
      }
      if (request_.level == Level::kFit) {
        throw Error(ErrorCode::kInvalidArgument, "level 0 reads everything, and the documents (" +
                                                     std::to_string(documents_.n_characters()) +
                                                     " characters) do not fit the " + std::to_string(fit) +
                                                     " tokens left for them: use level 1 or fewer documents");
      }
    }
    answer_.level = Level::kRetrieve;
    route(request_.level == Level::kAuto ? "the documents are more than the " + std::to_string(fit) +
                                               " tokens that are read whole: passages are retrieved"
                                         : "as asked",
          fit);
    return retrieve();
  }

  void route(const std::string& reason, int fit_tokens) {
    const bool fit = answer_.level == Level::kFit;
    tracer_.add("route", std::string("level ") + (fit ? "0" : "1") + ": " + reason,
                {{"level", fit ? 0 : 1},
                 {"characters", documents_.n_characters()},
                 {"chunks", documents_.n_chunks()},
                 {"fit_tokens", fit_tokens}});
  }

  FilledContext retrieve() {
    if (documents_.n_chunks() == 0) return {};
    const bool always = request_.helper_calls == HelperCalls::kAlways;
    const bool never = request_.helper_calls == HelperCalls::kNever;
    if (always || (!never && worth_splitting(plan_.question))) {
      split_request(helpers(), plan_);
      budget_ = budget_for(model_, request_, plan_.question, plan_.instruction);
    }
    std::vector<SourcePassage> hits = search();
    if (!never) {
      std::vector<std::string> languages = wanted_languages(always, hits);
      if (!languages.empty()) {
        find_keywords(helpers(), languages, plan_);
        if (!plan_.keywords.empty()) hits = search();
      }
    }
    FilledContext context = fill_context(hits, model_, budget_.passages);
    tracer_.add("context",
                std::to_string(hits.size() - static_cast<size_t>(context.left_out)) + " of " +
                    std::to_string(hits.size()) + " ranked chunks, " + std::to_string(context.tokens) +
                    " of " + std::to_string(budget_.passages) + " tokens",
                {{"chunks_in", hits.size()},
                 {"left_out", context.left_out},
                 {"tokens", context.tokens},
                 {"budget", budget_.passages}});
    return context;
  }

  std::vector<SourcePassage> search() {
    const Stopwatch watch;
    const int wanted = request_.max_passages > 0 ? request_.max_passages : profile_of(model_).chunks;
    const std::vector<SourceQuery> queries = plan_.queries();
    std::vector<SourcePassage> hits = documents_.search(queries, std::min(wanted, kMaxRanked));
    TraceStep step;
    step.kind = "search";
    step.detail = std::to_string(queries.size()) + (queries.size() == 1 ? " query, " : " queries, ") +
                  std::to_string(hits.size()) + " chunks";
    Json asked = Json::array();
    for (const SourceQuery& query : queries)
      asked.push_back({{"text", query.text}, {"weight", query.weight}});
    step.data = {{"queries", std::move(asked)}, {"hits", describe_hits(hits)}};
    step.seconds = watch.seconds();
    tracer_.add(std::move(step));
    return hits;
  }

  // Languages to ask keywords in; none when the question's own words will do.
  std::vector<std::string> wanted_languages(bool always, const std::vector<SourcePassage>& hits) {
    std::string own = documents_.guess_language(plan_.question);
    if (own.empty()) own = language_of_script(plan_.question);
    std::vector<std::string> languages = keyword_languages(own, documents_.languages());
    const auto also = [&](std::string_view code) {
      const bool known = std::find(languages.begin(), languages.end(), code) != languages.end();
      if (!code.empty() && !known) languages.emplace_back(code);
    };
    // Other words of the question's own language help only where its words find little.
    if (always || words_found(plan_.looked_up(), hits) < kWeakSearch) also(own);
    if (always) also("en"), also("zh");
    return languages;
  }

  void say_not_found() {
    answer_.found = false;
    answer_.text = not_found_text(plan_.question);
    if (events_.on_text) events_.on_text(answer_.text);
  }

  void write(const FilledContext& context) {
    const bool capitals_are_names = documents_.guess_language(plan_.question) != "de";
    const SupportIndex support(context.passages, plan_.question, plan_.all_keywords(), capitals_are_names);
    bool wanted = true;
    CitedText cited(context.passages, support, plan_.question, [&](std::string_view text) {
      wanted = !events_.on_text || events_.on_text(text);
      return wanted;
    });
    NotFoundGate gate;
    const auto on_text = [&](std::string_view piece) {
      return cited.feed(gate.feed(piece)) && !gate.not_found();
    };
    LmRequest request = answer_request(render_passages(context.passages), plan_.question, plan_.instruction);
    request.max_new_tokens = budget_.answer;
    request.seed = request_.seed;
    tracer_.chat(model_, request, on_text, cancel_);
    if (gate.not_found()) return say_not_found();
    if (wanted) cited.feed(gate.finish());
    if (wanted) cited.finish();
    answer_.text = cited.text();
    answer_.citations = cited.citations();
    answer_.unsupported = cited.unsupported();
    answer_.found = !answer_.text.empty() && !(answer_.citations.empty() && says_not_found(answer_.text));
    const CitedText::Counts& counts = cited.counts();
    tracer_.add("citations", std::to_string(answer_.citations.size()) + " verified",
                {{"kept", counts.kept},
                 {"repointed", counts.repointed},
                 {"dropped", counts.dropped},
                 {"attached", counts.attached},
                 {"unquoted", counts.unquoted},
                 {"unsupported", answer_.unsupported.size()}});
  }

  LanguageModel& model_;
  DocumentSource& documents_;
  const AskRequest& request_;
  const AskEvents& events_;
  const CancelToken& cancel_;
  Answer answer_;
  Tracer tracer_;
  QueryPlan plan_;
  Budget budget_;
};

}  // namespace

Answer Agent::ask(const AskRequest& request, const AskEvents& events, const CancelToken& cancel) {
  return Asking(*model_, *documents_, request, events, cancel).run();
}

}  // namespace lectern
