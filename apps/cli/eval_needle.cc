// lectern eval needle: does the model find a five-digit pass key that is hidden in running text, at every
// depth? The text is made up here, from a seed, so that nothing has to be downloaded and no model has seen
// it.
#include <algorithm>
#include <cmath>
#include <random>

#include "agent/agent.h"
#include "agent/collection_source.h"
#include "agent/engine_language_model.h"
#include "apps/cli/command.h"
#include "apps/cli/load_model.h"
#include "base/clock.h"
#include "base/error.h"
#include "engine/engine.h"

namespace lectern::cli {
namespace {

struct NeedleOptions {
  int tokens = 2000;
  int depths = 5;
  int trials = 1;
  uint32_t seed = 1;
  std::string level = "whole";
};

constexpr int kMaxAnswerTokens = 24;
constexpr std::string_view kTask = "A pass key is hidden in the text below. Find it and remember it.\n\n";
constexpr std::string_view kAgentQuestion = "What is the pass key?";
constexpr int kAgentKvTokens = 16'384;  // room for the agent's prompts, and for chunks read together
constexpr std::string_view kQuestion = "\n\nWhat is the pass key? Answer with its five digits.";

// Sentences without digits, from a few thousand combinations.
class Prose {
 public:
  explicit Prose(uint32_t seed) : random_(seed) {}

  std::string sentence() {
    return one_of(kWho) + " " + one_of(kDid) + " " + one_of(kWhat) + " " + one_of(kWhen) + ".";
  }
  int pass_key() { return 10000 + static_cast<int>(random_() % 90000); }

 private:
  template <size_t N>
  std::string one_of(const char* const (&choices)[N]) {
    return choices[random_() % N];
  }

  static constexpr const char* kWho[] = {
      "The lighthouse keeper", "A young carpenter", "The harbour master", "My neighbour's aunt",
      "The night nurse",       "An old surveyor",   "The choir",          "A travelling baker"};
  static constexpr const char* kDid[] = {"mended", "wrote about", "asked for", "forgot", "carried home",
                                         "drew",   "spoke of",    "sold",      "painted"};
  static constexpr const char* kWhat[] = {"the torn sails",        "a map of the marshes",
                                          "three baskets of eels", "the bell of the chapel",
                                          "a letter from the sea", "the garden behind the mill",
                                          "some honest advice",    "the long wooden bridge"};
  static constexpr const char* kWhen[] = {
      "before the snow came",      "on the way to the market",      "while the others slept",
      "in the year of the flood",  "because nobody else would",     "as soon as the tide turned",
      "to the surprise of us all", "after the last train had gone", "without a word of complaint"};
  std::mt19937 random_;
};

// One text with its needle, at any depth.
class Haystack {
 public:
  Haystack(const Tokenizer& tokenizer, int n_tokens, uint32_t seed) {
    Prose prose(seed);
    pass_key_ = std::to_string(prose.pass_key());
    const auto count = [&](std::string_view text) {
      return static_cast<int>(tokenizer.encode(std::string(text)).size());
    };
    constexpr int kChatTokens = 40;  // of the template around the text
    int left = n_tokens - kChatTokens - count(kTask) - count(needle()) - count(kQuestion);
    while (true) {
      std::string sentence = prose.sentence();
      left -= count(" " + sentence);
      if (left < 0) break;
      sentences_.push_back(std::move(sentence));
    }
  }

  const std::string& pass_key() const { return pass_key_; }

  std::string prompt(double depth) const { return std::string(kTask) + text(depth) + std::string(kQuestion); }

  // The text alone. depth 0: the needle comes first, 1: last.
  std::string text(double depth) const {
    const auto place = static_cast<size_t>(std::lround(depth * static_cast<double>(sentences_.size())));
    std::vector<std::string> sentences = sentences_;
    sentences.insert(sentences.begin() + static_cast<std::ptrdiff_t>(place), needle());
    std::string text;
    for (const std::string& sentence : sentences) text += sentence + " ";
    text.pop_back();
    return text;
  }

 private:
  std::string needle() const { return "The pass key is " + pass_key_ + ". Remember it."; }

  std::string pass_key_;
  std::vector<std::string> sentences_;
};

struct Depth {
  double depth = 0;
  int found = 0;
};

struct NeedleReply {
  std::string text;
  int prompt_tokens = 0;
  int chunks = 0, chunks_read = 0;  // of the agent
};

NeedleReply read_whole(Engine& engine, const Haystack& haystack, double depth, const CancelToken& cancel) {
  const ChatMessage message[] = {{.role = Role::kUser, .content = haystack.prompt(depth)}};
  GenerateRequest request;
  request.prompt = engine.chat_template().render(message);
  request.max_new_tokens = kMaxAnswerTokens;
  const GenerateResult result = engine.generate(request, {}, cancel);
  cancel.throw_if_cancelled();
  return {result.text, result.prompt_tokens};
}

// The text is a document of a collection, and the agent is asked.
NeedleReply ask_agent(Engine& engine, Level level, const std::string& model, const Haystack& haystack,
                      double depth, const CancelToken& cancel) {
  Document document;
  document.text = haystack.text(depth);
  document.format = "text";
  const auto collection = Collection::open_in_memory();
  collection->add("text", document);
  CollectionSource source(*collection);
  EngineLanguageModel language_model(engine, model);
  AskRequest request;
  request.question = kAgentQuestion;
  request.level = level;
  const Answer answer = Agent(language_model, source).ask(request, {}, cancel);
  NeedleReply reply{answer.text, answer.trace.prompt_tokens, static_cast<int>(source.n_chunks())};
  for (const TraceStep& step : answer.trace.steps)
    if (step.kind == "read") reply.chunks_read += step.data["read"].get<int>();
  return reply;
}

int eval_needle(Program& program, const NeedleOptions& options) {
  const bool whole = options.level == "whole";
  Output& out = program.output();
  const auto engine = load_model(program, whole ? options.tokens + kMaxAnswerTokens : kAgentKvTokens);
  const ProgressFn progress = out.progress();
  std::vector<Depth> depths(static_cast<size_t>(options.depths));
  for (size_t d = 0; d < depths.size(); ++d)
    depths[d].depth = depths.size() == 1 ? 0.5 : static_cast<double>(d) / (options.depths - 1.0);
  const int n = options.depths * options.trials;
  int done = 0, found = 0;
  int64_t prompt_tokens = 0, chunks_read = 0;
  int chunks = 0;  // of the last text
  const Stopwatch time;
  for (int trial = 0; trial < options.trials; ++trial) {
    const Haystack haystack(engine->tokenizer(), options.tokens, options.seed + static_cast<uint32_t>(trial));
    for (Depth& depth : depths) {
      const NeedleReply reply = whole ? read_whole(*engine, haystack, depth.depth, program.cancel)
                                      : ask_agent(*engine, *parse_level(options.level), model_name(program),
                                                  haystack, depth.depth, program.cancel);
      const bool hit = reply.text.find(haystack.pass_key()) != std::string::npos;
      chunks = reply.chunks;
      chunks_read += reply.chunks_read;
      depth.found += hit ? 1 : 0;
      found += hit ? 1 : 0;
      prompt_tokens += reply.prompt_tokens;
      if (progress) {
        progress({.stage = "looking for the needle",
                  .item = "",
                  .items_done = static_cast<uint64_t>(++done),
                  .items_total = static_cast<uint64_t>(n)});
      }
    }
  }
  const double rate = static_cast<double>(found) / n;
  if (out.json()) {
    Json result = json_result("eval.needle");
    result["model"] = engine->config().name;
    result["level"] = options.level;
    result["tokens"] = options.tokens;
    result["mean_prompt_tokens"] = static_cast<double>(prompt_tokens) / n;
    if (!whole) {
      result["chunks"] = chunks;
      result["mean_chunks_read"] = static_cast<double>(chunks_read) / n;
    }
    result["kv_bytes_per_token"] = engine->backend().kv_bytes_per_token();
    result["n"] = n;
    result["rate"] = rate;
    result["by_depth"] = Json::array();
    for (const Depth& depth : depths) {
      result["by_depth"].push_back(
          {{"depth", depth.depth}, {"rate", static_cast<double>(depth.found) / options.trials}});
    }
    result["seconds"] = time.seconds();
    out.print_json(result);
    return kExitFound;
  }
  out.print_line("found " + std::to_string(found) + " of " + std::to_string(n) + " pass keys in " +
                 std::to_string(prompt_tokens / n) + " tokens, " + format_seconds(time.seconds()));
  for (const Depth& depth : depths) {
    out.print_line("  depth " + std::to_string(std::lround(100 * depth.depth)) +
                   " %: " + std::to_string(depth.found) + " of " + std::to_string(options.trials));
  }
  return kExitFound;
}

}  // namespace

void register_eval_needle(CLI::App& eval, Program& program) {
  CLI::App* command = add_command(
      eval, "needle", "Measure whether the model finds a pass key in a long text",
      "  lectern eval needle --tokens 1000 --depths 3 --model qwen2.5-coder-0.5b-instruct --json\n");
  const auto options = std::make_shared<NeedleOptions>();
  command->add_option("--tokens", options->tokens, "Length of the prompt")
      ->check(CLI::Range(200, 1 << 20))
      ->capture_default_str();
  command->add_option("--depths", options->depths, "Number of depths, from the beginning to the end")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command->add_option("--trials", options->trials, "Texts and pass keys for each depth")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Of the texts and pass keys")->capture_default_str();
  command
      ->add_option("--level", options->level,
                   "whole: by the model at once; 1, 2, auto: by a level of the agent")
      ->check(CLI::IsMember({"whole", "1", "2", "auto"}))
      ->capture_default_str();
  add_model_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return eval_needle(program, *options); });
}

}  // namespace lectern::cli
