// lectern eval search: how often search finds the chunk that holds the answer to a question, by the
// question's own words or with the keywords that a model adds.
#include <algorithm>
#include <array>
#include <climits>

#include "agent/collection_source.h"
#include "agent/retrieve.h"
#include "apps/cli/command.h"
#include "apps/cli/language_model.h"
#include "apps/cli/measurement.h"
#include "apps/cli/number_options.h"
#include "apps/cli/squad_data.h"
#include "base/clock.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

struct SearchOptions {
  std::string data;
  std::string documents;
  int limit = 0;
  uint64_t seed = 1;
  bool names = false;
  bool keywords = false;
  bool unanswerable = false;
};

constexpr std::array kRanks = {1, 5, 8, 10, 20};
constexpr int kReciprocalRanks = 10;  // of the mean reciprocal rank

struct SearchSums {
  int n = 0;
  int without_chunk = 0;  // the answer lies in no one chunk: cannot be found
  std::array<int, kRanks.size()> within{};
  int without_keywords = 0;  // the model's call for them failed: the question's own words were searched
  double reciprocal = 0;
  double seconds = 0;
};

Json to_json(const SearchSums& sums) {
  Json result = {{"n", sums.n}};
  const double n = std::max(1, sums.n);
  for (size_t i = 0; i < kRanks.size(); ++i)
    result["recall@" + std::to_string(kRanks[i])] = sums.within[i] / n;
  result["mrr@" + std::to_string(kReciprocalRanks)] = sums.reciprocal / n;
  result["answers_in_no_chunk"] = sums.without_chunk;
  result["ms_per_question"] = sums.seconds / n * 1000;
  return result;
}

// Where a passage that was found stands: what telling a hit from a miss needs of it.
struct Found {
  int64_t document_id;
  uint64_t begin, end;  // bytes of the document's text
  std::string text;
};

class SearchEvaluation {
 public:
  SearchEvaluation(const SearchOptions& options, Program& program)
      : options_(options),
        program_(program),
        questions_(read_squad(options.data)),
        documents_(options.documents.empty() ? questions_ : read_squad(options.documents)),
        collection_(make_collection(documents_)),
        articles_(collection_->documents()),
        source_(*collection_) {
    if (documents_.questions.size() != questions_.questions.size())
      throw Error(ErrorCode::kInvalidArgument, options.documents + ": has another number of questions than " +
                                                   options.data + "; the two files must be parallel");
    if (options.keywords) model_ = open_model(program);
  }

  int run() {
    Measurement measurement(program_);
    SearchSums sums;
    measurement.each("searching", sample_questions(questions_, options_.limit, options_.seed),
                     [&](const SquadQuestion& question) {
                       // The answers and their place are the parallel question's: it has the documents'
                       // language.
                       ask(question, documents_.questions[question.number], sums);
                     });
    Json result = json_result("eval.search");
    result.update(to_json(sums));
    if (options_.keywords) result["without_keywords"] = sums.without_keywords;
    return measurement.print(std::move(result));
  }

 private:
  void ask(const SquadQuestion& question, const SquadQuestion& gold, SearchSums& sums) {
    const Stopwatch watch;
    const std::vector<Found> hits = options_.keywords ? by_agent(question, sums) : by_words(question);
    sums.seconds += watch.seconds();
    ++sums.n;
    const DocumentInfo& article = articles_[gold.article];
    const auto passages = collection_->passages(article.id, 0, article.n_chunks);
    sums.without_chunk += std::none_of(passages.begin(), passages.end(), [&](const Passage& passage) {
      return holds({passage.document_id, passage.chunk.begin, passage.chunk.end, passage.text}, gold);
    });
    const auto found =
        std::find_if(hits.begin(), hits.end(), [&](const Found& hit) { return holds(hit, gold); });
    const auto rank = static_cast<int>(found - hits.begin()) + 1;
    if (found == hits.end()) return;
    for (size_t i = 0; i < kRanks.size(); ++i) sums.within[i] += rank <= kRanks[i];
    if (rank <= kReciprocalRanks) sums.reciprocal += 1.0 / rank;
  }

  std::vector<Found> by_words(const SquadQuestion& question) const {
    SearchRequest request;
    request.queries = {{question.question, 1.0}};
    request.limit = kRanks.back();
    request.follow_names = options_.names;
    std::vector<Found> out;
    for (const SearchHit& hit : collection_->search(request)) {
      const Passage& passage = hit.passage;
      out.push_back({passage.document_id, passage.chunk.begin, passage.chunk.end, passage.text});
    }
    return out;
  }

  // As `lectern ask` finds passages at level 1.
  std::vector<Found> by_agent(const SquadQuestion& question, SearchSums& sums) {
    const AskRequest request;
    const AskEvents events;
    Trace trace;
    Tracer tracer(trace, events.on_step);
    Asking asking{*model_.model, model_.helper(), source_, request, events, tracer, program_.cancel};
    QueryPlan plan;
    plan.question = question.question;
    plan.information = {plan.question};
    std::vector<Found> out;
    for (SourcePassage& passage : retrieve(asking, plan, kRanks.back()))
      out.push_back({passage.document_id, passage.begin, passage.end, std::move(passage.text)});
    sums.without_keywords += std::any_of(trace.steps.begin(), trace.steps.end(),
                                         [](const TraceStep& step) { return step.kind == "fallback"; });
    return out;
  }

  bool holds(const Found& passage, const SquadQuestion& gold) const {
    return passage.document_id == articles_[gold.article].id &&
           holds_answer(gold, passage.begin, passage.end, passage.text);
  }

  const SearchOptions& options_;
  Program& program_;
  SquadData questions_, documents_;
  std::unique_ptr<Collection> collection_;
  std::vector<DocumentInfo> articles_;  // in the order of documents_.articles
  CollectionSource source_;
  OpenModel model_;
};

// How well the best chunk's score tells questions with an answer from those of articles left out: what the
// agent's judgement of its evidence rests on.
Json compare_matches(const SearchOptions& options) {
  const SquadData data = read_squad(options.data);
  const std::vector<bool> left_out = leave_out_half(data.articles.size(), options.seed);
  const auto collection = make_collection(data, left_out);
  std::vector<double> matches[2];
  for (const SquadQuestion& question : sample_questions(data, options.limit, options.seed)) {
    SearchRequest request;
    request.queries = {{question.question, 1.0}};
    request.limit = 1;
    request.shares = true;
    const auto hits = collection->search(request);
    matches[left_out[question.article] ? 1 : 0].push_back(hits.empty() ? 0 : hits.front().score);
  }
  Json result = json_result("eval.search");
  result["answerable"] = matches[0].size();
  result["unanswerable"] = matches[1].size();
  Json below = Json::array();
  for (int percent = 4; percent <= 40; percent += 2) {
    Json row = {{"match", percent / 100.0}};
    for (const int i : {0, 1}) {
      const auto n = std::count_if(matches[i].begin(), matches[i].end(),
                                   [&](double match) { return match < percent / 100.0; });
      row[i == 0 ? "answerable" : "unanswerable"] =
          static_cast<double>(n) / std::max<double>(1, static_cast<double>(matches[i].size()));
    }
    below.push_back(std::move(row));
  }
  result["share_below"] = std::move(below);
  return result;
}

int run_eval_search(const SearchOptions& options, Program& program) {
  if (options.unanswerable) {
    program.output().print_result(compare_matches(options));
    return kExitFound;
  }
  if (options.keywords) check_model(program);
  return SearchEvaluation(options, program).run();
}

}  // namespace

void register_eval_search(CLI::App& eval, Program& program) {
  CLI::App* command = add_command(
      eval, "search", "Search for the questions of a SQuAD-format file",
      "  lectern eval search --data squad/en.json --json\n"
      "  lectern eval search --data squad/en.json --documents squad/zh.json\n"
      "  lectern eval search --data squad/en.json --documents squad/zh.json --keywords --limit 3");
  auto options = std::make_shared<SearchOptions>();
  command->add_option("--data", options->data, "Questions and, without --documents, the text")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("--documents", options->documents, "Search the text of this parallel file")
      ->check(CLI::ExistingFile);
  command->add_option("--limit", options->limit, "Questions to draw; 0: all")->check(whole_number(INT_MAX));
  add_seed_option(command, options->seed, "Of the draw");
  command->add_flag("--names", options->names, "Follow the names of documents, as the agent does");
  command->add_flag("--keywords", options->keywords,
                    "Let a model add keywords in the documents' languages, as the agent does");
  command
      ->add_flag("--unanswerable", options->unanswerable,
                 "Leave half of the articles out and compare the best scores")
      ->excludes("--documents")
      ->excludes("--keywords");
  add_model_options(command, program.options);
  add_llm_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [options, &program] { return run_eval_search(*options, program); });
}

}  // namespace lectern::cli
