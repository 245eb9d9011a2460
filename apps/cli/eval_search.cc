// lectern eval search: how often search finds the chunk that holds the answer to a question.
#include <algorithm>
#include <array>

#include "apps/cli/command.h"
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
};

constexpr std::array kRanks = {1, 5, 10, 20};
constexpr int kReciprocalRanks = 10;  // of the mean reciprocal rank

struct SearchSums {
  int n = 0;
  int without_chunk = 0;  // the answer lies in no one chunk: cannot be found
  std::array<int, kRanks.size()> within{};
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

class SearchEvaluation {
 public:
  explicit SearchEvaluation(const SearchOptions& options)
      : questions_(read_squad(options.data)),
        documents_(options.documents.empty() ? questions_ : read_squad(options.documents)),
        collection_(make_collection(documents_)),
        articles_(collection_->documents()),
        follow_names_(options.names) {
    if (documents_.questions.size() != questions_.questions.size())
      throw Error(ErrorCode::kInvalidArgument, options.documents + ": has another number of questions than " +
                                                   options.data + "; the two files must be parallel");
  }

  SearchSums run(const SearchOptions& options, const CancelToken& cancel, const ProgressFn& progress) {
    SearchSums sums;
    const auto sample = sample_questions(questions_, options.limit, options.seed);
    for (const SquadQuestion& question : sample) {
      if (cancel.cancelled()) break;
      progress({"searching", "", static_cast<uint64_t>(sums.n), sample.size(), 0, 0});
      // The answers and their place are the parallel question's: it has the documents' language.
      ask(question, documents_.questions[question.number], sums);
    }
    return sums;
  }

 private:
  std::vector<SearchQuery> queries_for(const SquadQuestion& question) const {
    return {{question.question, 1.0}};
  }

  void ask(const SquadQuestion& question, const SquadQuestion& gold, SearchSums& sums) const {
    SearchRequest request;
    request.queries = queries_for(question);
    request.limit = kRanks.back();
    request.follow_names = follow_names_;
    const Stopwatch watch;
    const std::vector<SearchHit> hits = collection_->search(request);
    sums.seconds += watch.seconds();
    ++sums.n;
    const DocumentInfo& article = articles_[gold.article];
    const auto passages = collection_->passages(article.id, 0, article.n_chunks);
    sums.without_chunk += std::none_of(passages.begin(), passages.end(),
                                       [&](const Passage& passage) { return holds(passage, gold); });
    const auto found = std::find_if(hits.begin(), hits.end(),
                                    [&](const SearchHit& hit) { return holds(hit.passage, gold); });
    const auto rank = static_cast<int>(found - hits.begin()) + 1;
    if (found == hits.end()) return;
    for (size_t i = 0; i < kRanks.size(); ++i) sums.within[i] += rank <= kRanks[i];
    if (rank <= kReciprocalRanks) sums.reciprocal += 1.0 / rank;
  }

  bool holds(const Passage& passage, const SquadQuestion& gold) const {
    if (passage.document_id != articles_[gold.article].id || passage.chunk.begin >= gold.paragraph_end ||
        passage.chunk.end <= gold.paragraph_begin)
      return false;
    return std::any_of(gold.answers.begin(), gold.answers.end(), [&](const std::string& answer) {
      return passage.text.find(answer) != std::string::npos;
    });
  }

  SquadData questions_, documents_;
  std::unique_ptr<Collection> collection_;
  std::vector<DocumentInfo> articles_;  // in the order of documents_.articles
  bool follow_names_;
};

int run_eval_search(const SearchOptions& options, Program& program) {
  Output& output = program.output();
  SearchEvaluation evaluation(options);
  const SearchSums sums = evaluation.run(options, program.cancel, output.progress());
  program.end_progress();
  Json result = json_result("eval.search");
  result.update(to_json(sums));
  const bool interrupted = program.cancel.cancelled();
  if (interrupted) result["interrupted"] = true;
  if (output.json()) {
    output.print_json(result);
  } else {
    for (const auto& [name, value] : result.items()) output.print_line(name + ": " + dump_json(value));
  }
  return interrupted ? kExitInterrupted : kExitFound;
}

}  // namespace

void register_eval_search(CLI::App& eval, Program& program) {
  CLI::App* command =
      add_command(eval, "search", "Search for the questions of a SQuAD-format file, without a model",
                  "  lectern eval search --data squad/en.json --json\n"
                  "  lectern eval search --data squad/en.json --documents squad/zh.json");
  auto options = std::make_shared<SearchOptions>();
  command->add_option("--data", options->data, "Questions and, without --documents, the text")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("--documents", options->documents, "Search the text of this parallel file")
      ->check(CLI::ExistingFile);
  command->add_option("--limit", options->limit, "Questions to draw; 0: all")->check(CLI::NonNegativeNumber);
  command->add_option("--seed", options->seed, "Of the draw");
  command->add_flag("--names", options->names, "Follow the names of documents, as the agent does");
  add_output_options(command, program.options);
  program.on_run(command, [options, &program] { return run_eval_search(*options, program); });
}

}  // namespace lectern::cli
