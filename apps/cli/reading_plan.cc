#include "apps/cli/reading_plan.h"

#include <algorithm>
#include <map>

#include "agent/evidence.h"
#include "agent/whole_text.h"
#include "apps/cli/load_model.h"
#include "base/error.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "engine/memory.h"
#include "engine/tokenizer.h"
#include "kernels/cpu/dispatch.h"
#include "models/registry.h"

namespace lectern::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kDefaultKeptGb = 4;
// Shorter ones are read again as fast as they come from disk.
constexpr int kMinKeptTokens = 1024;
// What stands around the text in the prompt; in a conversation, what understands a follow-up beside it, and
// the questions and answers of the last turns, which are remembered too.
constexpr int kAroundTokens = 384, kConversationTokens = 4096;
// A shorter reading says little about a long one.
constexpr int kMinMeasuredTokens = 1024;
constexpr uint64_t kMaxSpeedsBytes = 256 << 10;
constexpr size_t kMaxSpeeds = 256;

fs::path speeds_file() {
  return data_folder() / "reading_speed.json";
}

// {"what reads": [tokens, seconds], ...}; whatever is wrong with the file, readings are measured anew.
Json read_speeds() {
  try {
    Json speeds = parse_json(read_file(speeds_file(), kMaxSpeedsBytes), speeds_file().string());
    if (speeds.is_object()) return speeds;
  } catch (const Error&) {
    // None yet, or none that can be read.
  }
  return Json::object();
}

// What the speed of a reading depends on.
std::string speed_key(const Program& program, const ReadingPlan& plan) {
  const int threads = program.options.threads > 0 ? program.options.threads : ThreadPool::default_size();
  return plan.model->config().name + " " + plan.model->quantisation() + ", " +
         std::string(active_kernel_table().name) + ", " + std::to_string(threads) + " threads, KV " +
         kKvTypeNames[static_cast<int>(plan.context.kv_type)] + (plan.context.is_sparse() ? ", sparse" : "");
}

std::optional<ReadingSpeed> remembered_speed(const std::string& key) {
  const Json speeds = read_speeds();
  const auto found = speeds.find(key);
  if (found == speeds.end() || !found->is_array() || found->size() != 2 || !(*found)[0].is_number_integer() ||
      !(*found)[1].is_number())
    return std::nullopt;
  const ReadingSpeed speed{(*found)[0].get<int64_t>(), (*found)[1].get<double>()};
  const bool sound = speed.tokens > 0 && speed.tokens < (int64_t{1} << 32) && speed.seconds > 0;
  return sound ? std::optional(speed) : std::nullopt;
}

struct Reading {
  int text_tokens = 0, question_tokens = 0;

  int sum() const { return text_tokens + question_tokens; }
};

KvStoreOptions kept_texts(const Program& program) {
  const uint64_t limit = kept_limit_bytes(program);
  if (limit == 0) return {};
  return {.folder = kept_folder(), .max_bytes = limit, .min_tokens = kMinKeptTokens};
}

int64_t helper_bytes(const Program& program) {
  if (program.options.helper_model.empty()) return 0;
  return static_cast<int64_t>(ModelFile::open(resolve_model(program.options.helper_model))->file_bytes());
}

// What the model would read with --extend dca; 0 where it cannot.
int extended_context(const Program& program, const ModelFile& model) {
  if (!program.options.extend.empty()) return 0;
  Qwen2Config config = model.config();
  try {
    extend_by_dual_chunks(config, model.path().string());
  } catch (const Error&) {
    return 0;
  }
  return config.context_tokens();
}

}  // namespace

ReadingPlan plan_reading(Program& program, DocumentSource& documents, std::span<const std::string> questions,
                         int answer_tokens) {
  ReadingPlan plan{.model = open_model_file(program), .context = {}, .kept = kept_texts(program)};
  const Tokenizer tokenizer(plan.model->vocabulary(), plan.model->path().string());
  std::map<std::vector<int64_t>, int> counted;  // tokens of these documents
  Reading longest;
  const auto take = [&](const std::string& question, int question_tokens) {
    const std::vector<int64_t> ids = documents_meant(documents, question);
    auto found = counted.find(ids);
    if (found == counted.end()) {
      const std::string text = render_passages(whole_text(documents, ids, program.cancel).passages);
      found = counted.emplace(ids, tokenizer.count(text)).first;
    }
    const Reading reading{found->second, question_tokens};
    if (reading.sum() > longest.sum()) longest = reading;
  };
  for (const std::string& question : questions) take(question, tokenizer.count(question));
  if (questions.empty()) take("", kConversationTokens);
  const BackendOptions backend = backend_options(program, 0);
  ContextWish wish{.text_tokens = longest.text_tokens,
                   .other_tokens = longest.question_tokens + answer_tokens + kAroundTokens,
                   .free_bytes = available_memory_bytes() - helper_bytes(program),
                   .max_context_tokens = backend.max_context_tokens,
                   .kv_type = std::nullopt,
                   .sparse = backend.sparse_prefill,
                   .speed = std::nullopt};
  if (!program.options.kv.empty()) wish.kv_type = backend.kv_type;
  const ContextCosts costs = context_costs(*plan.model);
  plan.context = plan_context(costs, wish);
  if (!plan.context.fits()) return plan;
  wish.kv_type = plan.context.kv_type;
  wish.speed = remembered_speed(speed_key(program, plan));
  plan.context = plan_context(costs, wish);
  return plan;
}

void require_fit(const Program& program, const ReadingPlan& plan) {
  if (plan.context.fits()) return;
  std::string remedy = "; use --level auto, which reads passages or spans, or fewer documents";
  const int64_t wanted = plan.context.text_tokens + plan.context.other_tokens;
  if (const int limit = program.options.max_context; limit > 0 && wanted > limit)
    remedy += ", or raise --max-context";
  const int extended = extended_context(program, *plan.model);
  if (wanted > plan.model->config().context_tokens() && wanted <= extended)
    remedy += ", or --extend dca, with which the model reads up to " + std::to_string(extended) + " tokens";
  throw Error(ErrorCode::kResourceExhausted, plan.context.refusal + remedy);
}

void remember_speed(const Program& program, const ReadingPlan& plan, const Answer& answer) {
  const auto reading = std::find_if(
      answer.trace.steps.begin(), answer.trace.steps.end(),
      [](const TraceStep& step) { return step.kind == "answer" && step.data.contains("prefill_seconds"); });
  if (reading == answer.trace.steps.end() || reading->prompt_tokens < kMinMeasuredTokens ||
      reading->cached_prompt_tokens > reading->prompt_tokens / 16)
    return;
  Json speeds = read_speeds();
  if (speeds.size() >= kMaxSpeeds) speeds = Json::object();
  speeds[speed_key(program, plan)] = {reading->prompt_tokens, reading->data["prefill_seconds"]};
  try {
    fs::create_directories(data_folder());
    write_file_atomically(speeds_file(), dump_json(speeds) + "\n");
  } catch (const std::exception&) {
    // The next plan does without.
  }
}

Json to_json(const ContextPlan& plan) {
  return {{"text_tokens", plan.text_tokens},
          {"context_tokens", plan.context_tokens},
          {"kv", kKvTypeNames[static_cast<int>(plan.kv_type)]},
          {"kv_bytes", plan.kv_bytes},
          {"sparse", plan.is_sparse()},
          {"prefill_chunk_tokens", plan.prefill_chunk_tokens},
          {"bytes", plan.bytes},
          {"kept", plan.kept},
          {"seconds", plan.seconds ? Json(*plan.seconds) : Json(nullptr)}};
}

fs::path kept_folder() {
  return cache_folder() / "kept";
}

uint64_t kept_limit_bytes(const Program& program) {
  const double gb = program.options.kept_gb.value_or(kDefaultKeptGb);
  return static_cast<uint64_t>(gb * 1e9);
}

}  // namespace lectern::cli
