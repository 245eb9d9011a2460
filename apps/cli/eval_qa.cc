// lectern eval qa: answers the questions of a SQuAD-format file from its own paragraphs and compares.
#include <algorithm>
#include <climits>

#include "agent/agent.h"
#include "agent/collection_source.h"
#include "apps/cli/answer_match.h"
#include "apps/cli/command.h"
#include "apps/cli/json_entries.h"
#include "apps/cli/language_model.h"
#include "apps/cli/measurement.h"
#include "apps/cli/number_options.h"
#include "apps/cli/output_file.h"
#include "apps/cli/squad_data.h"
#include "apps/common/reports.h"
#include "base/clock.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

struct QaOptions {
  std::string data;
  std::string documents;
  std::string replies;
  std::string level = "1";
  int limit = 0;
  uint64_t seed = 1;
  int passages = 0;
  std::string helper_calls = "auto";
  bool unanswerable = false;
};

// Sums over the questions answered so far.
struct QaSums {
  int n = 0;
  int unanswerable = 0, abstained = 0;  // of n, and of those
  // Of the answerable ones.
  int evidence = 0, contains = 0, cited = 0, supported = 0, found = 0, cited_correct = 0;
  double f1 = 0;
  // Of all.
  int64_t quotes = 0, verbatim_quotes = 0;
  int64_t calls = 0, prompt_tokens = 0, new_tokens = 0;
  double seconds = 0;
};

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

Json to_json(const QaSums& sums) {
  const auto mean = [&](auto sum) { return share(static_cast<double>(sum), sums.n); };
  const int answerable = sums.n - sums.unanswerable;
  const auto rate = [&](auto sum) { return share(static_cast<double>(sum), answerable); };
  return {{"n", sums.n},
          {"evidence_recall", rate(sums.evidence)},
          {"contains", rate(sums.contains)},
          {"f1", rate(sums.f1)},
          {"cited", rate(sums.cited)},
          {"cited_of_correct", share(sums.cited_correct, sums.contains)},
          {"supported", rate(sums.supported)},
          {"found", rate(sums.found)},
          {"wrongly_refused", share(answerable - sums.found, answerable)},
          {"unanswerable", sums.unanswerable},
          {"abstains", share(sums.abstained, sums.unanswerable)},
          {"quotes", sums.quotes},
          {"quotes_verbatim", sums.quotes > 0 ? share(static_cast<double>(sums.verbatim_quotes),
                                                      static_cast<double>(sums.quotes))
                                              : 1.0},
          {"seconds_per_question", mean(sums.seconds)},
          {"calls", mean(sums.calls)},
          {"prompt_tokens", mean(sums.prompt_tokens)},
          {"new_tokens", mean(sums.new_tokens)}};
}

// The chunks that were given, neighbours joined: an answer may begin in one and end in the next.
bool evidence_holds(const std::vector<SourcePassage>& context, const std::vector<std::string>& golds) {
  std::string run;
  for (size_t i = 0; i < context.size(); ++i) {
    run += context[i].text;
    const bool goes_on = i + 1 < context.size() && context[i + 1].document_id == context[i].document_id &&
                         context[i + 1].ordinal == context[i].ordinal + 1;
    if (!goes_on) {
      if (contains_answer(run, golds)) return true;
      run.clear();
    }
  }
  return false;
}

class QaEvaluation {
 public:
  QaEvaluation(const QaOptions& options, Program& program)
      : options_(options),
        program_(program),
        replies_("--replies", options.replies,
                 with_shared_inputs(program, {{"--data", options.data}, {"--documents", options.documents}})),
        questions_(read_squad(options.data)),
        documents_(options.documents.empty() ? questions_ : read_squad(options.documents)),
        left_out_(options.unanswerable ? leave_out_half(documents_.articles.size(), options.seed)
                                       : std::vector<bool>(documents_.articles.size())),
        collection_(make_collection(documents_, left_out_)),
        source_(*collection_) {
    if (level_ == Level::kNative && (options.passages > 0 || options.helper_calls != "auto")) {
      throw Error(ErrorCode::kInvalidArgument,
                  "--passages and --helpers do nothing at --level 4, which reads documents whole");
    }
    if (options.unanswerable && documents_.articles.size() != questions_.articles.size()) {
      throw Error(ErrorCode::kInvalidArgument, options.documents + ": has another number of articles than " +
                                                   options.data + "; --unanswerable needs parallel files");
    }
    if (options.unanswerable && documents_.articles.size() < 2) {
      throw Error(ErrorCode::kInvalidArgument,
                  options.data + ": has one article; --unanswerable leaves half of them out");
    }
    sample_ = draw();
    std::vector<std::string> asked;
    for (const SquadQuestion& question : sample_) {
      said_of(place_of(question, options.data), [&] { check(question); });
      asked.push_back(question.question);
    }
    model_ = open_model_for(program, level_, source_, asked);
  }

  int run() {
    Measurement measurement(program_);
    measurement.each("asking", sample_, [&](const SquadQuestion& question) {
      said_of(place_of(question, options_.data), [&] { answer(question); });
    });
    Json result = json_result("eval.qa");
    result.update(to_json(sums_));
    return measurement.print(std::move(result));
  }

 private:
  // With --unanswerable as many questions of articles left out as of the others.
  std::vector<SquadQuestion> draw() const {
    if (!options_.unanswerable || options_.limit == 0)
      return sample_questions(questions_, options_.limit, options_.seed);
    std::vector<SquadQuestion> sample;
    int n_of[] = {options_.limit - options_.limit / 2, options_.limit / 2};
    const auto all = static_cast<int>(questions_.questions.size());
    for (SquadQuestion& question : sample_questions(questions_, all, options_.seed)) {
      if (n_of[left_out_[question.article] ? 1 : 0]-- > 0) sample.push_back(std::move(question));
    }
    return sample;
  }

  // What could not be measured.
  void check(const SquadQuestion& question) const {
    require_words(question.question, "question");
    const std::vector<std::string> golds = golds_of(question);
    if (std::all_of(golds.begin(), golds.end(),
                    [](const std::string& gold) { return answer_tokens(gold).empty(); }))
      throw Error(ErrorCode::kInvalidArgument, "none of its answers has a word");
  }

  void answer(const SquadQuestion& question) {
    AskRequest request;
    request.question = question.question;
    request.level = level_;
    request.max_passages = options_.passages;
    request.seed = options_.seed;
    request.helper_calls = options_.helper_calls == "always"  ? HelperCalls::kAlways
                           : options_.helper_calls == "never" ? HelperCalls::kNever
                                                              : HelperCalls::kAuto;
    const Stopwatch watch;
    const Answer answer = Agent(*model_.model, model_.helper(), source_).ask(request, {}, program_.cancel);
    sums_.seconds += watch.seconds();
    ++sums_.n;
    const std::string text = without_markers(answer.text);
    const std::vector<std::string> golds = golds_of(question);
    const bool evidence = evidence_holds(answer.context, golds);
    const bool contains = contains_answer(text, golds);
    const bool cited =
        std::any_of(answer.citations.begin(), answer.citations.end(),
                    [&](const Citation& citation) { return contains_answer(citation.passage.text, golds); });
    const bool answerable = !left_out_[question.article];
    if (answerable) {
      sums_.evidence += evidence;
      sums_.contains += contains;
      sums_.cited += cited;
      sums_.cited_correct += contains && cited;
      sums_.supported += !answer.citations.empty();
      sums_.found += answer.found;
      sums_.f1 += answer_f1(text, golds);
    } else {
      ++sums_.unanswerable;
      sums_.abstained += !answer.found;
    }
    for (const Citation& citation : answer.citations) {
      ++sums_.quotes;
      sums_.verbatim_quotes += is_verbatim(citation);
    }
    sums_.calls += answer.trace.calls;
    sums_.prompt_tokens += answer.trace.prompt_tokens;
    sums_.new_tokens += answer.trace.new_tokens;
    if (replies_.is_open()) {
      Json passages = Json::array(), quotes = Json::array();
      for (const SourcePassage& passage : answer.context) passages.push_back(passage.text);
      for (const Citation& citation : answer.citations) quotes.push_back(citation.quote);
      replies_.add({{"question", question.question},
                    {"answers", golds},
                    {"reply", answer.text},
                    {"answerable", answerable},
                    {"found", answer.found},
                    {"passages", passages},
                    {"quotes", quotes},
                    {"unsupported", answer.unsupported.size()},
                    {"evidence", evidence},
                    {"contains", contains},
                    {"cited", cited},
                    {"trace", lectern::to_json(answer.trace)}});
    }
  }

  // Of a parallel file also the answer in the documents' language.
  std::vector<std::string> golds_of(const SquadQuestion& question) const {
    std::vector<std::string> golds = question.answers;
    if (documents_.questions.size() != questions_.questions.size()) return golds;
    for (const std::string& answer : documents_.questions[question.number].answers) {
      if (std::find(golds.begin(), golds.end(), answer) == golds.end()) golds.push_back(answer);
    }
    return golds;
  }

  bool is_verbatim(const Citation& citation) const {
    const std::string text = collection_->text(citation.passage.document_id);
    return !citation.quote.empty() && citation.quote_end <= text.size() &&
           citation.quote_begin < citation.quote_end &&
           text.compare(citation.quote_begin, citation.quote_end - citation.quote_begin, citation.quote) == 0;
  }

  const QaOptions& options_;
  Program& program_;
  const Level level_ = parse_level(options_.level).value();
  OutputFile replies_;
  SquadData questions_, documents_;
  std::vector<bool> left_out_;         // by article
  std::vector<SquadQuestion> sample_;  // to be asked
  std::unique_ptr<Collection> collection_;
  CollectionSource source_;
  OpenModel model_;
  QaSums sums_;
};

}  // namespace

void register_eval_qa(CLI::App& eval, Program& program) {
  CLI::App* command =
      add_command(eval, "qa", "Answer the questions of a SQuAD-format file and compare",
                  "  lectern eval qa --data squad/en.json --limit 3 --seed 1 --json\n"
                  "  lectern eval qa --data squad/en.json --documents squad/zh.json --limit 3");
  auto options = std::make_shared<QaOptions>();
  command->add_option("--data", options->data, "Questions and, without --documents, the text")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("--documents", options->documents, "Take the text from this parallel file")
      ->check(CLI::ExistingFile);
  command
      ->add_option(
          "--level", options->level,
          "0: read everything, 1: retrieve, 2: read chunk by chunk, 3: ask itself simpler questions, "
          "4: read documents whole, auto")
      ->check(CLI::IsMember({"auto", "0", "1", "2", "3", "4"}));
  command->add_option("--limit", options->limit, "Questions to draw; 0: all")->check(whole_number(INT_MAX));
  add_seed_option(command, options->seed, "Of the draw");
  command->add_option("--passages", options->passages, "Chunks to give the model; 0: what suits it")
      ->check(whole_number(INT_MAX));
  command->add_option("--helpers", options->helper_calls, "Split and keyword calls: auto, always, never")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  command->add_flag("--unanswerable", options->unanswerable,
                    "Leave half of the articles out: half of the questions then have no answer");
  command->add_option("--replies", options->replies,
                      "Write every reply with its trace to this file, a JSON line each");
  add_model_options(command, program.options);
  add_llm_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [options, &program] { return QaEvaluation(*options, program).run(); });
}

}  // namespace lectern::cli
