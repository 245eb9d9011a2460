// lectern eval multihop: do the passages that a question over several documents needs reach the answer?
#include <algorithm>
#include <array>
#include <climits>
#include <set>

#include "agent/agent.h"
#include "agent/collection_source.h"
#include "apps/cli/answer_match.h"
#include "apps/cli/command.h"
#include "apps/cli/json_entries.h"
#include "apps/cli/language_model.h"
#include "apps/cli/measurement.h"
#include "apps/cli/multihop_data.h"
#include "apps/cli/number_options.h"
#include "apps/cli/output_file.h"
#include "apps/cli/squad_data.h"
#include "base/ascii.h"
#include "base/clock.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

constexpr std::array<size_t, 2> kRanks = {8, 20};

struct MultihopOptions {
  std::string corpus, questions;
  std::string level = "1";
  int limit = 0;
  uint64_t seed = 1;
  int passages = 0;
  bool retrieval_only = false;
  std::string replies;
};

// Share of the needed titles among the first passages.
double evidence_share(const MultihopQuestion& question, const std::vector<std::string>& titles,
                      size_t first) {
  const std::set<std::string> given(titles.begin(),
                                    titles.begin() + static_cast<ptrdiff_t>(std::min(first, titles.size())));
  const auto n = std::count_if(question.titles.begin(), question.titles.end(),
                               [&](const std::string& title) { return given.contains(title); });
  return static_cast<double>(n) / static_cast<double>(question.titles.size());
}

// A reply often begins by repeating the question, which names both things that are compared.
std::string without_question(const std::string& reply, std::string question) {
  while (!question.empty() && (question.back() == '?' || question.back() == ' ')) question.pop_back();
  const auto same = [](char a, char b) { return ascii_lower(a) == ascii_lower(b); };
  const auto at = std::search(reply.begin(), reply.end(), question.begin(), question.end(), same);
  if (question.empty() || at == reply.end()) return reply;
  return std::string(reply.begin(), at) +
         std::string(at + static_cast<ptrdiff_t>(question.size()), reply.end());
}

class MultihopEvaluation {
 public:
  MultihopEvaluation(const MultihopOptions& options, Program& program)
      : options_(options),
        program_(program),
        replies_(
            "--replies", options.replies,
            with_shared_inputs(program, {{"--corpus", options.corpus}, {"--questions", options.questions}})),
        collection_(Collection::open_in_memory()) {
    const std::vector<MultihopQuestion> all = read_multihop_questions(options.questions);
    for (const size_t i : sample_numbers(all.size(), options.limit, options.seed))
      questions_.push_back(all[i]);
    const std::vector<Document> documents = read_multihop_corpus(options.corpus);
    const Stopwatch watch;
    for (size_t i = 0; i < documents.size() && !program.cancel.cancelled(); ++i) {
      program.output().progress()({"indexing", "", i, documents.size(), 0, 0});
      collection_->add("passage " + std::to_string(i + 1), documents[i]);
    }
    index_seconds_ = watch.seconds();
  }

  int run() {
    Measurement measurement(program_);
    Json result = json_result("eval.multihop");
    result.update(options_.retrieval_only ? search_all(measurement) : answer_all(measurement));
    return measurement.print(std::move(result));
  }

 private:
  // By words and names, and by words alone for comparison.
  Json search_all(Measurement& measurement) {
    const Stopwatch watch;
    search(questions_.front().question, 1, true);  // makes the dictionary of names
    const double names_seconds = watch.seconds();
    Json result = search_all(measurement, true);
    result["words_alone"] = search_all(measurement, false);
    result["index_seconds"] = index_seconds_;
    result["names_seconds"] = names_seconds;
    return result;
  }

  Json search_all(Measurement& measurement, bool follow_names) {
    std::array<int, kRanks.size()> all{};
    std::array<double, kRanks.size()> sum{};
    int n = 0;
    const Stopwatch watch;
    measurement.each("searching", questions_, [&](const MultihopQuestion& question) {
      ++n;
      const auto titles = search(question.question, kRanks.back(), follow_names);
      for (size_t i = 0; i < kRanks.size(); ++i) {
        const double share = evidence_share(question, titles, kRanks[i]);
        all[i] += share >= 1;
        sum[i] += share;
      }
    });
    Json result = {{"n", n}};
    for (size_t i = 0; i < kRanks.size(); ++i) {
      result["all_evidence_at_" + std::to_string(kRanks[i])] = all[i] / std::max(1.0, double(n));
      result["mean_evidence_at_" + std::to_string(kRanks[i])] = sum[i] / std::max(1.0, double(n));
    }
    result["ms_per_question"] = watch.seconds() / std::max(1, n) * 1000;
    return result;
  }

  std::vector<std::string> search(const std::string& question, size_t limit, bool follow_names) const {
    SearchRequest request;
    request.queries = {{question, 1.0}};
    request.limit = static_cast<int>(limit);
    request.follow_names = follow_names;
    std::vector<std::string> titles;
    for (SearchHit& hit : collection_->search(request)) titles.push_back(std::move(hit.passage.title));
    return titles;
  }

  Json answer_all(Measurement& measurement) {
    const OpenModel model = open_model(program_);
    CollectionSource source(*collection_);
    int n = 0, all = 0, all_at_8 = 0, n_scored = 0, contains = 0, unrepeated = 0;
    double evidence = 0, seconds = 0;
    int64_t calls = 0;
    measurement.each("asking", questions_, [&](const MultihopQuestion& question) {
      AskRequest request;
      request.question = question.question;
      request.level = parse_level(options_.level).value();
      request.max_passages = options_.passages;
      request.seed = options_.seed;
      const Stopwatch watch;
      const Answer answer = said_of(question.place, [&] {
        return Agent(*model.model, model.helper(), source).ask(request, {}, program_.cancel);
      });
      seconds += watch.seconds();
      ++n;
      calls += answer.trace.calls;
      std::vector<std::string> titles;
      for (const SourcePassage& passage : answer.context) titles.push_back(passage.title);
      const double share = evidence_share(question, titles, titles.size());
      evidence += share;
      all += share >= 1;
      all_at_8 += evidence_share(question, titles, 8) >= 1;
      n_scored += question.score_answer;
      const std::string reply = without_markers(answer.text);
      const bool holds = contains_answer(reply, question.answers);
      const bool says = contains_answer(without_question(reply, question.question), question.answers);
      contains += question.score_answer && holds;
      unrepeated += question.score_answer && says;
      if (replies_.is_open()) {
        replies_.add({{"question", question.question},
                      {"answers", question.answers},
                      {"reply", answer.text},
                      {"level", to_string(answer.level)},
                      {"evidence", share},
                      {"contains", holds},
                      {"contains_unrepeated", says},
                      {"trace", lectern::to_json(answer.trace)}});
      }
    });
    const double count = std::max(1, n);
    return {{"n", n},
            {"all_evidence", all / count},
            {"all_evidence_at_8", all_at_8 / count},
            {"mean_evidence", evidence / count},
            {"n_scored", n_scored},
            {"contains", contains / std::max(1.0, static_cast<double>(n_scored))},
            {"contains_unrepeated", unrepeated / std::max(1.0, static_cast<double>(n_scored))},
            {"calls", static_cast<double>(calls) / count},
            {"seconds_per_question", seconds / count},
            {"index_seconds", index_seconds_}};
  }

  const MultihopOptions& options_;
  Program& program_;
  OutputFile replies_;
  std::vector<MultihopQuestion> questions_;
  std::unique_ptr<Collection> collection_;
  double index_seconds_ = 0;
};

}  // namespace

void register_eval_multihop(CLI::App& eval, Program& program) {
  CLI::App* command =
      add_command(eval, "multihop", "Ask questions that need several documents, and look for all of these",
                  "  lectern eval multihop --corpus multihop/corpus.json --questions multihop/questions.json "
                  "--retrieval-only\n");
  auto options = std::make_shared<MultihopOptions>();
  command->add_option("--corpus", options->corpus, "The passages: a JSON list of titles and texts")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("--questions", options->questions, "The questions, with the titles they need")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_flag("--retrieval-only", options->retrieval_only, "Only search, without a model");
  command
      ->add_option("--level", options->level,
                   "1: retrieve, 2: judge chunk by chunk, 3: ask itself simpler questions, auto: what suits")
      ->check(CLI::IsMember({"1", "2", "3", "auto"}))
      ->capture_default_str();
  command->add_option("--limit", options->limit, "Questions to draw; 0: all")->check(whole_number(INT_MAX));
  add_seed_option(command, options->seed, "Of the draw");
  command->add_option("--passages", options->passages, "Chunks to give the model; 0: what suits it")
      ->check(whole_number(INT_MAX));
  command->add_option("--replies", options->replies,
                      "Write every reply with its trace to this file, a JSON line each");
  add_model_options(command, program.options);
  add_llm_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [options, &program] { return MultihopEvaluation(*options, program).run(); });
}

}  // namespace lectern::cli
