// lectern bench engine: how fast a model runs here, as tokens a second and as shares of what the machine can
// do at most, measured in the same run.
#include <algorithm>
#include <functional>
#include <vector>

#include "apps/cli/bench_clients.h"
#include "apps/cli/command.h"
#include "apps/cli/load_model.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "engine/backend.h"
#include "engine/kv_store.h"
#include "engine/memory.h"
#include "engine/model_fingerprint.h"
#include "engine/prefix_cache.h"
#include "engine/scheduler.h"
#include "engine/shared_prefix.h"
#include "engine/tokenizer.h"
#include "kernels/cpu/machine_limits.h"

namespace lectern::cli {
namespace {

struct BenchOptions {
  int prefill = 512;
  int decode = 64;
  std::string kv_store;      // folder; empty: not measured
  std::vector<int> clients;  // who ask at once, a measurement each
};

// Scoring: chunks judged against one question, as the agent does when it reads a long document.
constexpr int kPrefix = 300, kChunk = 150, kChunks = 8;
// Tokens of the text that all of it is cut from.
constexpr int kLeastText = 8192;
// Of a question after a chunk whose KV is kept on disk.
constexpr int kQuestion = 40;

// -- what the machine can do --------------------------------------------------------------------------------

struct Limits {
  double int8_gops = 0, read_gb_s = 0;
};

// The best of many short runs of `work` on all threads at once: some of them fall between the turns of other
// programs. work(worker) returns what it has done.
double best_rate(ThreadPool& pool, const std::function<double(int worker)>& work) {
  constexpr int kMinRuns = 8;
  constexpr double kSeconds = 0.25;
  double best = 0;
  const Stopwatch all;
  for (int run = 0; run < kMinRuns || all.seconds() < kSeconds; ++run) {
    std::vector<double> done(static_cast<size_t>(pool.size()));
    const Stopwatch time;
    pool.run(pool.size(), [&](int index, int) { done[static_cast<size_t>(index)] = work(index); });
    double total = 0;
    for (const double amount : done) total += amount;
    best = std::max(best, total / time.seconds());
  }
  return best;
}

Limits measure_limits(int n_threads) {
  constexpr size_t kBytes = size_t{256} << 20;  // far more than the caches hold
  const MachineLimits& limits = machine_limits();
  ThreadPool pool(n_threads);
  const AnonymousMemory memory(kBytes, "the measurement of the memory's speed");
  std::fill_n(memory.data(), kBytes, std::byte{1});
  const size_t part = kBytes / static_cast<size_t>(pool.size()) / 256 * 256;
  Limits result;
  result.int8_gops =
      1e-9 * best_rate(pool, [&](int) { return static_cast<double>(limits.int8_products(100'000)); });
  result.read_gb_s = 1e-9 * best_rate(pool, [&](int worker) {
                       volatile uint64_t sum =
                           limits.read(memory.data() + static_cast<size_t>(worker) * part, part);
                       static_cast<void>(sum);
                       return static_cast<double>(part);
                     });
  return result;
}

// -- what the engine does -----------------------------------------------------------------------------------

struct Speeds {
  double prefill_tok_s = 0, decode_tok_s = 0, score_chunks_s = 0;
  double kept_first_chunks_s = 0, kept_again_chunks_s = 0;
};

class EngineBench {
 public:
  EngineBench(Backend& backend, const Tokenizer& tokenizer, int n_tokens, const CancelToken& cancel)
      : backend_(backend), cancel_(cancel) {
    const std::string sentence =
        "The lighthouse keeper wrote the weather in a ledger every evening, and the harbour master copied it "
        "in "
        "the morning. ";
    while (ids_.size() < static_cast<size_t>(n_tokens)) tokenizer.encode(sentence, ids_);
  }

  Speeds measure(const BenchOptions& options) {
    Speeds speeds;
    {
      KvSequence warm_up(backend_.kv_pages());
      read(warm_up, 64);
    }
    KvSequence sequence(backend_.kv_pages());
    const Stopwatch prefill;
    int32_t next = read(sequence, options.prefill);
    speeds.prefill_tok_s = options.prefill / prefill.seconds();
    const Stopwatch decode;
    for (int i = 0; i < options.decode; ++i) next = step(sequence, next);
    speeds.decode_tok_s = options.decode / decode.seconds();
    speeds.score_chunks_s = score();
    return speeds;
  }

  // A question about each of some chunks, which are read and kept in `store`; or, when they are there
  // already, another question. Chunks a second.
  double ask_kept_chunks(KvStore& store, int question) {
    std::vector<PrefixItem> items;
    for (int i = 0; i < kChunks; ++i) {
      const auto chunk = ids_.begin() + kPrefix + i, after = ids_.begin() + 2000 + question;
      items.push_back({.tokens = {chunk, chunk + kChunk}, .n_kept = kChunk});
      items.back().tokens.insert(items.back().tokens.end(), after, after + kQuestion);
    }
    PrefixCache cache(backend_, &store);
    return chunks_a_second(cache, items);
  }

 private:
  // Returns the likeliest next token.
  int32_t forward(KvSequence& sequence, std::span<const int32_t> tokens) {
    sequence.reserve(static_cast<int>(tokens.size()));
    const SequenceSlice slice[] = {{tokens, sequence.length(), sequence.pages(), 1}};
    backend_.forward({slice, {}}, logits_, cancel_);
    sequence.advance(static_cast<int>(tokens.size()));
    return static_cast<int32_t>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
  }
  int32_t read(KvSequence& sequence, int n) {
    return forward(sequence, std::span(ids_).first(static_cast<size_t>(n)));
  }
  int32_t step(KvSequence& sequence, int32_t token) { return forward(sequence, {&token, 1}); }

  double score() {
    std::vector<PrefixItem> items;
    for (int i = 0; i < kChunks; ++i) {
      items.push_back({{ids_.begin(), ids_.begin() + kPrefix}, 1});
      const auto chunk = ids_.begin() + kPrefix + i;
      items.back().tokens.insert(items.back().tokens.end(), chunk, chunk + kChunk);
    }
    PrefixCache cache(backend_);
    KvSequence prefix(backend_.kv_pages());
    read(prefix, kPrefix);
    cache.keep(std::span(ids_).first(kPrefix), std::move(prefix));
    return chunks_a_second(cache, items);
  }

  double chunks_a_second(PrefixCache& cache, std::span<const PrefixItem> items) {
    SharedPrefixRun run(backend_.kv_pages(), cache, items, {}, Priority::kBulk,
                        [](size_t, int, int, std::span<float>) {});
    Scheduler scheduler(backend_, cache);
    std::exception_ptr error;
    const Stopwatch time;
    scheduler.add(run, cancel_, CancelToken(), [&](std::exception_ptr what) { error = std::move(what); });
    while (scheduler.step()) {
    }
    if (error) std::rethrow_exception(error);
    return static_cast<double>(items.size()) / time.seconds();
  }

  Backend& backend_;
  const CancelToken& cancel_;
  std::vector<int32_t> ids_;
  std::vector<float> logits_;
};

// Multiplications of one token in the layers' matrices.
double multiplications_per_token(const ModelFile& model) {
  const Qwen2Config& config = model.config();
  const auto size = [](const Matrix& m) { return static_cast<double>(m.rows) * m.cols; };
  const auto mlp_size = [&](const MlpWeights& m) {
    return size(m.gate_proj) + size(m.up_proj) + size(m.down_proj);
  };
  double total = 0;
  for (const LayerWeights& layer : model.weights().layers) {
    total += size(layer.q_proj) + size(layer.k_proj) + size(layer.v_proj) + size(layer.o_proj) +
             mlp_size(layer.mlp);
    total += size(layer.moe.router) + mlp_size(layer.moe.shared_expert);
    for (const MlpWeights& expert : layer.moe.experts) {
      total += mlp_size(expert) * config.num_experts_per_tok / config.num_experts;
    }
  }
  return total;
}

std::string with_digits(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

int bench_engine(Program& program, const BenchOptions& options) {
  Output& out = program.output();
  const auto model = open_model_file(program);
  const Qwen2Config& config = model->config();
  if (options.prefill + options.decode > config.context_tokens()) {
    throw Error(ErrorCode::kInvalidArgument, "--prefill and --decode together are more than the " +
                                                 std::to_string(config.context_tokens()) +
                                                 " tokens of the model's context");
  }
  const Stopwatch loading;
  const int64_t kv_tokens =
      std::max(options.prefill + options.decode, 64) + kPrefix + kChunks * (kChunk + kKvPageTokens) + 1024;
  const BackendOptions asked = backend_options(program, kv_tokens);
  const Device chosen = choose_device(device(program), find_cuda(), device_bytes(*model, asked));
  auto backend = make_backend(model, chosen, asked, out.progress());
  const double load_seconds = loading.seconds();
  const Tokenizer tokenizer(model->vocabulary(), model->path().string());

  // Before and after: on a machine that is not quiet, one alone may be too low, and a share above 1.
  const bool on_cpu = chosen.kind == Device::Kind::kCpu;
  const auto measure = [&] { return on_cpu ? measure_limits(backend->options().n_threads) : Limits(); };
  const Limits before = measure();
  EngineBench bench(*backend, tokenizer, std::max(options.prefill, kLeastText), program.cancel);
  Speeds speeds = bench.measure(options);
  if (!options.kv_store.empty()) {
    KvStore store({.folder = options.kv_store}, *backend, fingerprint(*model));
    speeds.kept_first_chunks_s = bench.ask_kept_chunks(store, 1);
    speeds.kept_again_chunks_s = bench.ask_kept_chunks(store, 2);
    if (store.stats().written != kChunks || store.stats().hits != kChunks) {
      throw Error(ErrorCode::kInvalidArgument,
                  options.kv_store +
                      ": the chunks of this measurement are there already, or cannot be "
                      "written; name an empty folder with room for some megabytes");
    }
  }
  const Limits after = measure();
  const Limits limits = {.int8_gops = std::max(before.int8_gops, after.int8_gops),
                         .read_gb_s = std::max(before.read_gb_s, after.read_gb_s)};
  const double prefill_gops = 2e-9 * multiplications_per_token(*model) * speeds.prefill_tok_s;
  const double kv_bytes =
      static_cast<double>(backend->kv_bytes_per_token()) * (options.prefill + options.decode / 2.0);
  const double bytes_per_token = static_cast<double>(backend->weight_bytes_per_token()) + kv_bytes;
  const double read_gb_s = 1e-9 * bytes_per_token * speeds.decode_tok_s;

  const std::string description = backend->describe();
  const BackendOptions used = backend->options();
  const int64_t kv_bytes_per_token = backend->kv_bytes_per_token();
  backend.reset();  // the engines below pack the weights for themselves
  const auto clients =
      measure_clients(model, {.backend = used, .device = chosen}, options.clients, program.cancel);

  if (out.json()) {
    Json result = json_result("bench.engine");
    result["model"] = config.name;
    result["quantisation"] = model->quantisation();
    result["backend"] = description;
    result["threads"] = used.n_threads;
    result["prefill_tokens"] = options.prefill;
    result["decode_tokens"] = options.decode;
    result["kv_bytes_per_token"] = kv_bytes_per_token;
    result["load_seconds"] = load_seconds;
    result["prefill_tok_s"] = speeds.prefill_tok_s;
    result["decode_tok_s"] = speeds.decode_tok_s;
    result["score_chunks_s"] = speeds.score_chunks_s;
    if (!options.kv_store.empty()) {
      result["kept_first_chunks_s"] = speeds.kept_first_chunks_s;
      result["kept_again_chunks_s"] = speeds.kept_again_chunks_s;
    }
    for (const ClientSpeed& speed : clients) {
      result["clients"].push_back({{"clients", speed.n_clients},
                                   {"same_answers", speed.n_same},
                                   {"alone_tok_s", speed.alone_tok_s},
                                   {"together_tok_s", speed.together_tok_s}});
    }
    result["prefill_gops"] = prefill_gops;
    result["decode_bytes_per_token"] = bytes_per_token;
    result["decode_read_gb_s"] = read_gb_s;
    if (on_cpu) {
      result["limit_int8_gops"] = limits.int8_gops;
      result["limit_read_gb_s"] = limits.read_gb_s;
      result["prefill_share_of_int8"] = prefill_gops / limits.int8_gops;
      result["decode_share_of_read"] = read_gb_s / limits.read_gb_s;
    }
    out.print_json(result);
    return kExitFound;
  }
  const auto share = [on_cpu](double reached, double limit, int digits, const std::string& what) {
    if (!on_cpu) return std::string();
    return ": " + with_digits(100 * reached / limit, 0) + " % of " + with_digits(limit, digits) + what;
  };
  out.print_line(config.name + ", " + model->quantisation() + " on " + description + ", loaded in " +
                 format_seconds(load_seconds));
  out.print_line("prefill  " + with_digits(speeds.prefill_tok_s, 1) + " tokens/s (" +
                 std::to_string(options.prefill) + " tokens), " + with_digits(prefill_gops, 0) + " Gop/s" +
                 share(prefill_gops, limits.int8_gops, 0, " that registers alone allow"));
  out.print_line("decode   " + with_digits(speeds.decode_tok_s, 1) + " tokens/s (" +
                 std::to_string(options.decode) + " tokens), " + with_digits(1e-6 * bytes_per_token, 0) +
                 " MB a token, " + with_digits(read_gb_s, 1) + " GB/s" +
                 share(read_gb_s, limits.read_gb_s, 1, " measured"));
  out.print_line("scoring  " + with_digits(speeds.score_chunks_s, 2) + " chunks/s (" +
                 std::to_string(kPrefix) + " tokens shared, " + std::to_string(kChunk) +
                 " new ones a chunk)");
  if (!options.kv_store.empty()) {
    out.print_line("kept     " + with_digits(speeds.kept_first_chunks_s, 2) + " chunks/s of " +
                   std::to_string(kChunk) + " tokens with a question of " + std::to_string(kQuestion) +
                   " read and written to disk, " + with_digits(speeds.kept_again_chunks_s, 2) +
                   " asked again");
  }
  for (const ClientSpeed& speed : clients) {
    out.print_line("clients  " + std::to_string(speed.n_clients) +
                   " at once: " + with_digits(speed.together_tok_s, 1) +
                   " new tokens/s, one after the other " + with_digits(speed.alone_tok_s, 1) + ": " +
                   with_digits(speed.together_tok_s / speed.alone_tok_s, 2) + " times as fast (prompts of " +
                   std::to_string(kClientPrompt) + " tokens, answers of " + std::to_string(kClientAnswer) +
                   "), " + std::to_string(speed.n_same) + " the same as alone");
  }
  return kExitFound;
}

}  // namespace

void register_bench_engine(CLI::App& bench, Program& program) {
  CLI::App* command = add_command(bench, "engine", "Measure prefill, decoding and scoring",
                                  "  lectern bench engine --model qwen2.5-coder-0.5b-instruct --threads 2\n"
                                  "  lectern bench engine --prefill 2048 --decode 128 --json\n");
  const auto options = std::make_shared<BenchOptions>();
  command->add_option("--prefill", options->prefill, "Tokens of the prompt")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--decode", options->decode, "Tokens to decode after it")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command->add_option("--kv-store", options->kv_store,
                      "Also measure chunks whose KV is kept on disk: an empty folder for it");
  command
      ->add_option("--clients", options->clients,
                   "Also measure so many clients that ask at once, such as 1,4,16")
      ->delimiter(',')
      ->check(CLI::Range(1, kMostClients));
  add_model_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return bench_engine(program, *options); });
}

}  // namespace lectern::cli
