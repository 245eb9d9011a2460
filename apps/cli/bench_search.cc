// lectern bench search: speed of the index alone, on chunks and queries that have been analysed already.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>

#include "apps/cli/command.h"
#include "apps/cli/scratch_folder.h"
#include "base/clock.h"
#include "base/error.h"
#include "retrieval/bm25.h"
#include "retrieval/index_writer.h"
#include "retrieval/store.h"

namespace lectern::cli {
namespace {

struct BenchOptions {
  std::string chunks;
  std::string queries;
  int k = 10;
};

// A line of the files: {"id": number, "tokens": "terms between spaces"}.
struct Line {
  int64_t id = 0;
  std::vector<std::string> terms;
};

std::vector<Line> read_lines(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<Line> lines;
  std::string text;
  while (std::getline(file, text)) {
    const std::string origin = path + ": line " + std::to_string(lines.size() + 1);
    const Json json = parse_json(text, origin);
    if (!json.is_object() || !json.contains("tokens") || !json["tokens"].is_string())
      throw Error(ErrorCode::kCorrupt, origin + ": has no \"tokens\"");
    Line line;
    line.id = json.contains("id") && json["id"].is_number_integer() ? json["id"].get<int64_t>()
                                                                    : static_cast<int64_t>(lines.size());
    std::istringstream words(json["tokens"].get<std::string>());
    for (std::string word; words >> word;) line.terms.push_back(word);
    lines.push_back(std::move(line));
  }
  if (lines.empty()) throw Error(ErrorCode::kCorrupt, path + ": holds nothing");
  return lines;
}

double write_index(Store& store, const std::vector<Line>& chunks, const CancelToken& cancel) {
  const Stopwatch watch;
  const auto session = store.write();
  IndexWriter writer(*session);
  constexpr size_t kChunksPerBatch = 10'000;
  std::vector<Term> terms;
  for (size_t begin = 0; begin < chunks.size(); begin += kChunksPerBatch) {
    cancel.throw_if_cancelled();
    session->begin();
    for (size_t i = begin; i < std::min(chunks.size(), begin + kChunksPerBatch); ++i) {
      terms.clear();
      for (const std::string& term : chunks[i].terms) terms.push_back({term, 0, 0});
      const FieldTerms field{terms, 1};
      writer.add_chunk(static_cast<int64_t>(i + 1), {&field, 1}, "");
    }
    writer.flush();
    session->commit();
    writer.merge(false, cancel);
  }
  writer.merge(true, cancel);
  return watch.seconds();
}

struct Timing {
  std::vector<double> ms;
  std::vector<std::vector<int64_t>> top;  // ids of the first queries' hits
};

Timing time_queries(Store& store, const std::vector<Line>& chunks, const std::vector<Line>& queries, size_t k,
                    const CancelToken& cancel) {
  const auto session = store.read();
  std::vector<std::pair<std::shared_ptr<const Segment>, std::shared_ptr<const LiveBits>>> segments;
  for (const StoredSegment& stored : session->segments()) {
    auto segment = std::make_shared<const Segment>(stored.id, SegmentHeader::decode(stored.header), *session);
    segments.emplace_back(segment, std::make_shared<const LiveBits>(segment->n_chunks(), stored.live));
  }
  const IndexSnapshot index = make_snapshot(std::move(segments), Bm25{});
  Timing timing;
  for (int round = 0; round < 2; ++round) {  // the second is measured
    timing.ms.clear();
    for (const Line& query : queries) {
      cancel.throw_if_cancelled();
      const Stopwatch watch;
      std::vector<QueryTerm> terms;
      for (const std::string& text : query.terms) {
        const auto same = [&](const QueryTerm& term) { return term.text == text; };
        if (std::none_of(terms.begin(), terms.end(), same))
          terms.push_back({text, static_cast<uint32_t>(terms.size()), 1.0});
      }
      const auto best = search_bm25(index, terms, k, *session);
      timing.ms.push_back(watch.seconds() * 1000);
      if (round > 0 || timing.top.size() >= 5) continue;
      timing.top.emplace_back();
      for (const ScoredChunk& chunk : best)
        timing.top.back().push_back(chunks[static_cast<size_t>(chunk.id - 1)].id);
    }
  }
  return timing;
}

int run_bench_search(const BenchOptions& options, Program& program) {
  const std::vector<Line> chunks = read_lines(options.chunks);
  const std::vector<Line> queries = read_lines(options.queries);
  const ScratchFolder folder;
  const auto store = Store::open(folder.path / "bench.lectern");
  const double index_seconds = write_index(*store, chunks, program.cancel);
  const Timing timing = time_queries(*store, chunks, queries, static_cast<size_t>(options.k), program.cancel);
  std::vector<double> sorted = timing.ms;
  std::sort(sorted.begin(), sorted.end());
  const double sum = std::accumulate(sorted.begin(), sorted.end(), 0.0);
  uint64_t index_bytes = 0;
  for (const StoredSegment& segment : store->read()->segments())
    index_bytes += SegmentHeader::decode(segment.header).bytes();

  Json result = json_result("bench.search");
  result["chunks"] = chunks.size();
  result["queries"] = queries.size();
  result["k"] = options.k;
  result["index_s"] = index_seconds;
  result["index_bytes"] = index_bytes;
  result["p50_ms"] = sorted[sorted.size() / 2];
  result["p95_ms"] = sorted[sorted.size() * 95 / 100];
  result["mean_ms"] = sum / static_cast<double>(sorted.size());
  result["top"] = timing.top;
  Output& output = program.output();
  output.print_result(result);
  return kExitFound;
}

}  // namespace

void register_bench_search(CLI::App& bench, Program& program) {
  CLI::App* command = add_command(bench, "search", "Time indexing and searching of analysed chunks",
                                  "  echo '{\"tokens\": \"old mill\"}' > lines.jsonl\n"
                                  "  lectern bench search --chunks lines.jsonl --queries lines.jsonl --json");
  auto options = std::make_shared<BenchOptions>();
  command
      ->add_option("--chunks", options->chunks, R"(Lines {"id": number, "tokens": "terms between spaces"})")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("--queries", options->queries, "Lines of the same form; a query is the OR of its terms")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("--k", options->k, "Hits a query")->check(CLI::PositiveNumber);
  add_output_options(command, program.options);
  program.on_run(command, [options, &program] { return run_bench_search(*options, program); });
}

}  // namespace lectern::cli
