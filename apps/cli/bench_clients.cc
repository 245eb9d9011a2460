#include "apps/cli/bench_clients.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <random>
#include <thread>

#include "base/clock.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

// Words in an order of its own for each seed.
std::vector<int32_t> prompt_of(const Tokenizer& tokenizer, uint32_t seed) {
  static constexpr const char* kWords[] = {"the ",   "harbour ", "ledger ",  "of ",   "a ",    "keeper ",
                                           "wrote ", "in ",      "winter. ", "They ", "sold ", "seven ",
                                           "boats ", "to ",      "near ",    "mill, "};
  std::mt19937 random(seed);
  std::vector<int32_t> tokens;
  while (tokens.size() < kClientPrompt) tokenizer.encode(kWords[random() % std::size(kWords)], tokens);
  tokens.resize(kClientPrompt);
  return tokens;
}

std::unique_ptr<Engine> load_warm(const std::shared_ptr<const ModelFile>& model,
                                  const Engine::Options& options, const CancelToken& cancel) {
  auto engine = Engine::load(model, options);
  GenerateRequest request;
  request.prompt = prompt_of(engine->tokenizer(), 0);
  request.max_new_tokens = 1;
  engine->generate(request, {}, cancel);
  return engine;
}

GenerateResult ask(Engine& engine, int client, const CancelToken& cancel) {
  GenerateRequest request;
  request.prompt = prompt_of(engine.tokenizer(), static_cast<uint32_t>(client) + 1);
  request.max_new_tokens = kClientAnswer;
  request.max_draft_tokens = 0;
  GenerateResult result = engine.generate(request, {}, cancel);
  cancel.throw_if_cancelled();
  return result;
}

// The answers of clients that ask at the same time.
std::vector<GenerateResult> ask_together(Engine& engine, int n_clients, const CancelToken& cancel) {
  const auto n = static_cast<size_t>(n_clients);
  std::vector<GenerateResult> results(n);
  std::vector<std::exception_ptr> errors(n);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < n; ++i) {
    threads.emplace_back([&, i] {
      try {
        results[i] = ask(engine, static_cast<int>(i), cancel);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  return results;
}

}  // namespace

std::vector<ClientSpeed> measure_clients(const std::shared_ptr<const ModelFile>& model,
                                         const Engine::Options& engine_options,
                                         const std::vector<int>& n_clients, const CancelToken& cancel) {
  if (n_clients.empty()) return {};
  const int most = std::ranges::max(n_clients);
  Engine::Options options = engine_options;
  constexpr int kPages = (kClientPrompt + kClientAnswer) / kKvPageTokens + 1;
  options.backend.kv_tokens = int64_t{most} * kPages * kKvPageTokens;

  std::vector<GenerateResult> alone;
  std::vector<double> seconds;  // of each
  {
    const auto engine = load_warm(model, options, cancel);
    for (int i = 0; i < most; ++i) {
      const Stopwatch time;
      alone.push_back(ask(*engine, i, cancel));
      seconds.push_back(time.seconds());
    }
  }
  std::vector<ClientSpeed> speeds;
  for (const int n : n_clients) {
    const auto engine = load_warm(model, options, cancel);
    const Stopwatch time;
    const auto together = ask_together(*engine, n, cancel);
    const double seconds_together = time.seconds();
    double tokens = 0, seconds_alone = 0;
    int n_same = 0;
    for (size_t i = 0; i < together.size(); ++i) {
      if (together[i].tokens == alone[i].tokens) {
        ++n_same;
      } else if (options.device.kind == Device::Kind::kCpu) {
        throw Error(ErrorCode::kCorrupt, "client " + std::to_string(i + 1) + " of " + std::to_string(n) +
                                             " got another answer than alone; please report it");
      }
      tokens += together[i].new_tokens;
      seconds_alone += seconds[i];
    }
    speeds.push_back({n, n_same, tokens / seconds_alone, tokens / seconds_together});
  }
  return speeds;
}

}  // namespace lectern::cli
