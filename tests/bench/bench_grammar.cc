// Masks of constrained decoding on the real vocabulary, along the answer of a keywords call.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "engine/grammar.h"
#include "engine/model_file.h"
#include "tests/support/real_models.h"

namespace lectern {
namespace {

constexpr const char* kSchema = R"({"type":"object","properties":{
  "keywords_en":{"type":"array","minItems":1,"maxItems":8,"items":{"type":"string","minLength":1,"maxLength":40}},
  "keywords_zh":{"type":"array","minItems":1,"maxItems":8,"items":{"type":"string","minLength":1,"maxLength":40}}}})";
constexpr const char* kText =
    R"({"keywords_en": ["Harlow pump house", "clock", "repaired"], "keywords_zh": ["哈洛", "泵房", "时钟", "修理"]})";

// Nanoseconds for the mask of every token. `grammar` keeps what it computed.
std::vector<double> walk(const std::shared_ptr<const Grammar>& grammar, const Tokenizer& tokenizer,
                         const std::vector<int32_t>& tokens) {
  std::vector<double> times;
  GrammarState state(grammar, tokenizer);
  for (const int32_t token : tokens) {
    const Stopwatch watch;
    benchmark::DoNotOptimize(state.mask().data());
    times.push_back(watch.seconds() * 1e9);
    state.accept(token);
  }
  return times;
}

void masks(benchmark::State& state, bool known) {
  const auto path = real_model_path(kSmallModelFile);
  if (!std::filesystem::exists(path)) return state.SkipWithError("needs the 0.5B model: lectern pull");
  const Tokenizer tokenizer(ModelFile::open(path)->vocabulary(), path.string());
  const std::vector<int32_t> tokens = tokenizer.encode(kText);
  const Json schema = parse_json(kSchema, "schema");
  auto grammar = Grammar::from_json_schema(schema);
  walk(grammar, tokenizer, tokens);  // prepares the vocabulary
  std::vector<double> times;
  for (auto _ : state) {
    if (!known) grammar = Grammar::from_json_schema(schema);
    const std::vector<double> fresh = walk(grammar, tokenizer, tokens);
    times.insert(times.end(), fresh.begin(), fresh.end());
  }
  std::sort(times.begin(), times.end());
  state.counters["median_us"] = times[times.size() / 2] / 1e3;
  state.counters["p95_us"] = times[times.size() * 95 / 100] / 1e3;
  state.counters["max_us"] = times.back() / 1e3;
}

BENCHMARK_CAPTURE(masks, first_answer, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(masks, later_answers, true)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lectern

BENCHMARK_MAIN();
