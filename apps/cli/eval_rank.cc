// lectern eval rank: which way of judging chunks from prefill alone puts the chunk that answers a question
// first, among those that search finds hardest to tell apart.
#include <algorithm>
#include <climits>

#include "agent/chunk_judge.h"
#include "agent/collection_source.h"
#include "agent/engine_language_model.h"
#include "apps/cli/command.h"
#include "apps/cli/json_entries.h"
#include "apps/cli/load_model.h"
#include "apps/cli/measurement.h"
#include "apps/cli/number_options.h"
#include "apps/cli/output_file.h"
#include "apps/cli/squad_data.h"
#include "base/clock.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

struct RankOptions {
  std::string data;
  std::string documents;
  std::string scores;
  int candidates = 8;
  int limit = 0;
  uint64_t seed = 1;
};

// BM25 scores of the question as asked are looked for among so many chunks.
constexpr int kBm25Depth = 1000;

struct Ranking {
  std::string name;
  double reciprocal = 0;
  double first = 0;
  double seconds = 0;
  int64_t judged = 0;  // chunks
};

enum : size_t { kBm25, kQuestion, kLabelJudge, kYesNoJudge, kFused, kRankings };

struct Candidates {
  std::vector<SourcePassage> chunks;
  std::vector<bool> gold;
  std::vector<double> bm25;  // as shares of the best
};

// Of the best gold chunk, from 1; chunks that score alike share their ranks.
double gold_rank(const std::vector<double>& scores, const std::vector<bool>& gold) {
  double best = 0;
  for (size_t g = 0; g < scores.size(); ++g) {
    if (!gold[g]) continue;
    double rank = 1;
    for (size_t i = 0; i < scores.size(); ++i) {
      if (gold[i]) continue;
      if (scores[i] > scores[g]) rank += 1;
      if (scores[i] == scores[g]) rank += 0.5;
    }
    if (best == 0 || rank < best) best = rank;
  }
  return best;
}

class RankEvaluation {
 public:
  RankEvaluation(const RankOptions& options, Program& program)
      : options_(options),
        program_(program),
        scores_("--scores", options.scores,
                with_shared_inputs(program, {{"--data", options.data}, {"--documents", options.documents}})),
        questions_(read_squad(options.data)),
        documents_(options.documents.empty() ? questions_ : read_squad(options.documents)),
        collection_(make_collection(documents_)),
        articles_(collection_->documents()),
        source_(*collection_),
        rankings_(
            {{"bm25"}, {"question_likelihood"}, {"ans_none"}, {"yes_no"}, {"question_likelihood_bm25"}}) {
    if (documents_.questions.size() != questions_.questions.size())
      throw Error(ErrorCode::kInvalidArgument, options.documents + ": has another number of questions than " +
                                                   options.data + "; the two files must be parallel");
    engine_ = load_model(program);
    model_ = std::make_unique<EngineLanguageModel>(*engine_, model_name(program));
  }

  int run() {
    Measurement measurement(program_);
    measurement.each("judging", sample_questions(questions_, options_.limit, options_.seed),
                     [&](const SquadQuestion& question) {
                       said_of(place_of(question, options_.data), [&] { rank(question); });
                     });
    Json result = json_result("eval.rank");
    result.update(to_json());
    return measurement.print(std::move(result));
  }

 private:
  Json to_json() const {
    const double n = std::max(1, n_);
    Json methods = Json::object();
    for (const Ranking& ranking : rankings_) {
      methods[ranking.name] = {{"mrr", ranking.reciprocal / n}, {"first", ranking.first / n}};
      if (ranking.judged > 0)
        methods[ranking.name]["ms_per_chunk"] = ranking.seconds * 1000 / static_cast<double>(ranking.judged);
    }
    return {{"n", n_}, {"answers_in_no_chunk", without_chunk_}, {"methods", std::move(methods)}};
  }

  void rank(const SquadQuestion& question) {
    const Candidates candidates = candidates_for(question, documents_.questions[question.number]);
    if (std::find(candidates.gold.begin(), candidates.gold.end(), true) == candidates.gold.end()) {
      ++without_chunk_;
      return;
    }
    std::vector<std::vector<double>> scores(kRankings);
    scores[kBm25] = candidates.bm25;
    scores[kQuestion] = judge(question, candidates, JudgeMethod::kQuestionLikelihood, kQuestion);
    scores[kLabelJudge] = judge(question, candidates, JudgeMethod::kLabel, kLabelJudge);
    scores[kYesNoJudge] = judge(question, candidates, JudgeMethod::kYesNo, kYesNoJudge);
    for (size_t i = 0; i < candidates.chunks.size(); ++i)
      scores[kFused].push_back(fused_score(scores[kQuestion][i], candidates.bm25[i]));
    ++n_;
    Json line = {{"question", question.question}, {"gold", candidates.gold}};
    for (size_t m = 0; m < kRankings; ++m) {
      const double rank = gold_rank(scores[m], candidates.gold);
      rankings_[m].reciprocal += 1 / rank;
      rankings_[m].first += rank == 1;
      line[rankings_[m].name] = scores[m];
    }
    if (!scores_.is_open()) return;
    line["blank"] = ChunkJudge(*model_, question.question).blank_score(program_.cancel);
    scores_.add(line);
  }

  std::vector<double> judge(const SquadQuestion& question, const Candidates& candidates, JudgeMethod method,
                            size_t ranking) {
    const Stopwatch watch;
    auto scores = ChunkJudge(*model_, question.question, method).scores(candidates.chunks, program_.cancel);
    rankings_[ranking].seconds += watch.seconds();
    rankings_[ranking].judged += static_cast<int64_t>(scores.size());
    return scores;
  }

  // The chunks that the question in the documents' own language finds, hard to tell apart, with one that
  // holds the answer among them.
  Candidates candidates_for(const SquadQuestion& question, const SquadQuestion& parallel) {
    Candidates out;
    const SourceQuery hard[] = {{parallel.question, 1.0}};
    out.chunks = source_.search(hard, options_.candidates);
    const auto add_gold = [&] {
      out.gold.clear();
      for (const SourcePassage& chunk : out.chunks) out.gold.push_back(holds(chunk, parallel));
      return std::find(out.gold.begin(), out.gold.end(), true) != out.gold.end();
    };
    if (!add_gold()) {
      const DocumentInfo& article = articles_[parallel.article];
      for (SourcePassage& chunk : source_.read(article.id, 0, article.n_chunks)) {
        if (!holds(chunk, parallel)) continue;
        if (static_cast<int>(out.chunks.size()) >= options_.candidates) out.chunks.pop_back();
        out.chunks.push_back(std::move(chunk));
        break;
      }
      add_gold();
    }
    const SourceQuery asked[] = {{question.question, 1.0}};
    const std::vector<SourcePassage> hits = source_.search(asked, kBm25Depth);
    for (const SourcePassage& chunk : out.chunks) {
      const auto hit = std::find_if(hits.begin(), hits.end(), [&](const SourcePassage& other) {
        return other.chunk_id == chunk.chunk_id;
      });
      out.bm25.push_back(hit == hits.end() ? 0 : hit->score / hits.front().score);
    }
    return out;
  }

  bool holds(const SourcePassage& chunk, const SquadQuestion& gold) const {
    return chunk.document_id == articles_[gold.article].id &&
           holds_answer(gold, chunk.begin, chunk.end, chunk.text);
  }

  const RankOptions& options_;
  Program& program_;
  OutputFile scores_;
  SquadData questions_, documents_;
  std::unique_ptr<Collection> collection_;
  std::vector<DocumentInfo> articles_;  // in the order of documents_.articles
  CollectionSource source_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<EngineLanguageModel> model_;
  std::vector<Ranking> rankings_;
  int n_ = 0, without_chunk_ = 0;
};

}  // namespace

void register_eval_rank(CLI::App& eval, Program& program) {
  CLI::App* command =
      add_command(eval, "rank", "Judge which of several chunks answers a question, in every way there is",
                  "  lectern eval rank --data squad/en.json --limit 2 --json\n"
                  "  lectern eval rank --data squad/en.json --documents squad/zh.json --limit 2");
  auto options = std::make_shared<RankOptions>();
  command->add_option("--data", options->data, "Questions and, without --documents, the text")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("--documents", options->documents, "Take the text from this parallel file")
      ->check(CLI::ExistingFile);
  command->add_option("--candidates", options->candidates, "Chunks to judge for each question")
      ->check(CLI::Range(2, 100))
      ->capture_default_str();
  command->add_option("--limit", options->limit, "Questions to draw; 0: all")->check(whole_number(INT_MAX));
  add_seed_option(command, options->seed, "Of the draw");
  command->add_option("--scores", options->scores, "Write every score to this file, a JSON line a question");
  add_model_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [options, &program] { return RankEvaluation(*options, program).run(); });
}

}  // namespace lectern::cli
