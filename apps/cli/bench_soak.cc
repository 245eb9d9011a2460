// lectern bench soak: many clients ask one engine for mixed work, with cancels, for a long time. Says whether
// memory stays flat and whether an answer that was asked for again and again is always the same. Not in the
// help: for those who work on the engine.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "apps/cli/command.h"
#include "apps/cli/load_model.h"
#include "base/clock.h"
#include "base/error.h"
#include "engine/engine.h"

namespace lectern::cli {
namespace {

struct SoakOptions {
  double minutes = 30;
  int clients = 8;
  int kv_tokens = 8192;
};

constexpr double kSampleSeconds = 30;
constexpr int kDocuments = 4;
constexpr int kDocumentTokens = 500;

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return 1e-6 * static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

struct Sample {
  double seconds, resident_mb;
  int64_t done, cancelled, errors, wrong;
};

class Soak {
 public:
  explicit Soak(Engine& engine) : engine_(engine) {
    std::mt19937 random(1);
    for (auto& document : documents_) document = text(kDocumentTokens, random);
    expected_ = engine_.generate(fixed_request(), {}, CancelToken()).tokens;
  }

  void start(int n_clients) {
    for (int i = 0; i < n_clients; ++i) {
      clients_.emplace_back([this, i] { work(static_cast<uint32_t>(i) + 2); });
    }
  }
  // Requests under way are cancelled.
  void stop() {
    stop_ = true;
    for (std::thread& client : clients_) client.join();
    clients_.clear();
  }

  Sample sample() const { return {time_.seconds(), resident_mb(), done_, cancelled_, errors_, wrong_}; }

 private:
  std::vector<int32_t> text(int n_tokens, std::mt19937& random) const {
    static constexpr const char* kWords[] = {"the ",   "harbour ", "ledger ",  "of ",   "a ",    "keeper ",
                                             "wrote ", "in ",      "winter. ", "They ", "sold ", "seven ",
                                             "boats ", "to ",      "the ",     "mill, "};
    std::vector<int32_t> tokens;
    while (tokens.size() < static_cast<size_t>(n_tokens)) {
      engine_.tokenizer().encode(kWords[random() % std::size(kWords)], tokens);
    }
    tokens.resize(static_cast<size_t>(n_tokens));
    return tokens;
  }

  GenerateRequest fixed_request() const {
    GenerateRequest request;
    request.prompt = documents_[0];
    request.max_new_tokens = 12;
    return request;
  }

  // A document and something about it.
  std::vector<int32_t> prompt(std::mt19937& random) const {
    std::vector<int32_t> tokens = documents_[random() % kDocuments];
    const auto question = text(5 + static_cast<int>(random() % 60), random);
    tokens.insert(tokens.end(), question.begin(), question.end());
    return tokens;
  }

  void work(uint32_t seed) {
    std::mt19937 random(seed);
    while (!stop_) {
      const CancelToken cancel;
      try {
        ask(random, cancel);
        ++done_;
      } catch (const Error& error) {
        if (error.code() == ErrorCode::kCancelled) {
          ++cancelled_;
        } else {
          ++errors_;
        }
      }
    }
  }

  void ask(std::mt19937& random, const CancelToken& cancel) {
    const int kind = static_cast<int>(random() % 10);
    if (kind == 0) {
      if (engine_.generate(fixed_request(), {}, cancel).tokens != expected_) ++wrong_;
    } else if (kind == 1) {
      std::vector<ScoreItem> items;
      const auto continuation = text(8, random);
      for (int i = 0; i < 4; ++i) items.push_back({.prompt = prompt(random), .continuation = continuation});
      const Canceller canceller(stop_, cancel, random() % 3 == 0);
      engine_.score(items, cancel);
    } else if (kind == 2) {
      std::vector<std::vector<int32_t>> prompts;
      for (int i = 0; i < 6; ++i) prompts.push_back(prompt(random));
      const std::vector<int32_t> labels = {documents_[0][0], documents_[0][1]};
      const Canceller canceller(stop_, cancel, random() % 3 == 0);
      engine_.score_labels(prompts, labels, cancel);
    } else {
      GenerateRequest request;
      request.prompt = kind == 3 ? text(900 + static_cast<int>(random() % 600), random) : prompt(random);
      request.max_new_tokens = 1 + static_cast<int>(random() % 40);
      request.sampling.temperature = 0.7f;
      request.sampling.seed = random();
      if (kind == 4) request.grammar = Grammar::choice(std::vector<std::string>{"yes", "no", "perhaps"});
      const int last_call = random() % 4 == 0 ? static_cast<int>(random() % 10) : 1000;
      int calls = 0;
      const auto result = engine_.generate(
          request,
          [&](std::string_view) {
            if (kind == 5) std::this_thread::sleep_for(std::chrono::milliseconds(20));  // a slow reader
            return ++calls < last_call && !stop_;
          },
          cancel);
      if (result.finish_reason == FinishReason::kCancelled) throw Error(ErrorCode::kCancelled, "cancelled");
    }
  }

  // While it lives: cancels soon after its beginning, if it is to, and when the soak ends.
  class Canceller {
   public:
    Canceller(const std::atomic<bool>& stop, const CancelToken& cancel, bool soon)
        : thread_([this, &stop, cancel, soon] {
            for (int i = 0; !over_; ++i) {
              if (stop || (soon && i == 20)) cancel.cancel();
              std::this_thread::sleep_for(std::chrono::milliseconds(10));
            }
          }) {}
    ~Canceller() {
      over_ = true;
      thread_.join();
    }

   private:
    std::atomic<bool> over_{false};
    std::thread thread_;
  };

  Engine& engine_;
  std::vector<int32_t> documents_[kDocuments], expected_;
  const Stopwatch time_;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> done_{0}, cancelled_{0}, errors_{0}, wrong_{0};
  std::vector<std::thread> clients_;
};

// The last third never takes more than the first two, but for what an allocator may waver.
bool is_flat(const std::vector<Sample>& samples) {
  const auto border = samples.begin() + static_cast<ptrdiff_t>(samples.size() * 2 / 3);
  if (border == samples.begin()) return false;
  const auto most = [](auto begin, auto end) {
    return std::max_element(begin, end,
                            [](const Sample& a, const Sample& b) { return a.resident_mb < b.resident_mb; })
        ->resident_mb;
  };
  const double before = most(samples.begin(), border);
  return most(border, samples.end()) <= before + 8 + 0.01 * before;
}

int bench_soak(Program& program, const SoakOptions& options) {
  if (options.minutes <= 0 || options.clients < 1 || options.clients > 256 || options.kv_tokens < 4096) {
    throw Error(ErrorCode::kInvalidArgument,
                "--minutes must be positive, --clients 1 to 256 and --kv-tokens at least 4096");
  }
  Output& out = program.output();
  const auto engine = load_model(program, options.kv_tokens);
  Soak soak(*engine);
  std::vector<Sample> samples;
  const auto show = [&](const Sample& s) {
    if (out.json()) return;
    char line[200];
    std::snprintf(line, sizeof(line),
                  "%6.0f s  %8.1f MB resident  %lld done, %lld cancelled, %lld errors, %lld wrong", s.seconds,
                  s.resident_mb, static_cast<long long>(s.done), static_cast<long long>(s.cancelled),
                  static_cast<long long>(s.errors), static_cast<long long>(s.wrong));
    out.print_line(line);
  };
  soak.start(options.clients);
  const Stopwatch time;
  while (time.seconds() < 60 * options.minutes && !program.cancel.cancelled()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (time.seconds() >= kSampleSeconds * static_cast<double>(samples.size() + 1)) {
      samples.push_back(soak.sample());
      show(samples.back());
    }
  }
  soak.stop();
  samples.push_back(soak.sample());
  show(samples.back());
  const Sample& last = samples.back();
  const bool flat = is_flat(samples);
  if (out.json()) {
    Json result = json_result("bench.soak");
    result["model"] = engine->config().name;
    result["clients"] = options.clients;
    result["seconds"] = last.seconds;
    result["done"] = last.done;
    result["cancelled"] = last.cancelled;
    result["errors"] = last.errors;
    result["wrong"] = last.wrong;
    result["flat"] = flat;
    result["resident_mb"] = Json::array();
    for (const Sample& sample : samples) result["resident_mb"].push_back(sample.resident_mb);
    out.print_json(result);
  } else {
    out.print_line(flat ? "memory is flat" : "memory is NOT flat, or the run was too short to tell");
  }
  return flat && last.errors == 0 && last.wrong == 0 ? kExitFound : kExitNothing;
}

}  // namespace

void register_bench_soak(CLI::App& bench, Program& program) {
  CLI::App* command =
      add_command(bench, "soak", "Ask for mixed work for a long time and watch the memory", "");
  command->group("");  // hidden
  const auto options = std::make_shared<SoakOptions>();
  command->add_option("--minutes", options->minutes, "How long")->capture_default_str();
  command->add_option("--clients", options->clients, "Threads that ask")->capture_default_str();
  command->add_option("--kv-tokens", options->kv_tokens, "Capacity of the KV cache")->capture_default_str();
  add_model_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return bench_soak(program, *options); });
}

}  // namespace lectern::cli
