#include "apps/cli/options.h"

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "apps/cli/number_options.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/thread_pool.h"
#include "engine/device.h"

namespace lectern::cli {
namespace {

constexpr uint64_t kMaxSettingsBytes = 1 << 20;
constexpr int kMinContext = 512, kMaxContext = 1 << 24;

struct Settings {
  std::optional<std::string> model;
  std::optional<int> threads;
  std::optional<std::string> device;
  std::optional<std::string> kv;
  std::optional<std::string> collection;
  std::optional<std::string> llm, llm_model, llm_key_file;
  std::optional<int> llm_context;
  std::optional<int> max_context;
  std::optional<double> kept_gb;
};

constexpr double kMaxKeptGb = 1e6;

[[noreturn]] void bad_threads(const std::string& origin) {
  throw Error(ErrorCode::kInvalidArgument,
              origin + ": threads must be a whole number from 0 (one per processor) to " +
                  std::to_string(ThreadPool::kMaxThreads));
}

bool is_kv_type(const std::string& name) {
  return name == "f16" || name == "int8";
}

[[noreturn]] void bad_kv(const std::string& origin) {
  throw Error(ErrorCode::kInvalidArgument, origin + ": kv must be f16 or int8");
}

void check_device(const std::string& origin, const std::string& device) {
  try {
    parse_device(device);
  } catch (const Error& error) {
    throw Error(error.code(), origin + ": " + error.what());
  }
}

[[noreturn]] void bad_context(const std::string& origin) {
  throw Error(ErrorCode::kInvalidArgument, origin + ": the context must be a whole number of tokens from " +
                                               std::to_string(kMinContext) + " to " +
                                               std::to_string(kMaxContext));
}

[[noreturn]] void bad_kept(const std::string& origin) {
  throw Error(ErrorCode::kInvalidArgument,
              origin + ": kept_gb must be a number of gigabytes from 0 (nothing is kept) to 1000000");
}

int context_of(const std::string& origin, const std::string& text) {
  int n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < kMinContext || n > kMaxContext)
    bad_context(origin + "=" + text);
  return n;
}

Settings from_environment() {
  Settings settings;
  const auto value = [](const char* name) -> std::optional<std::string> {
    const char* text = std::getenv(name);
    if (text == nullptr || *text == '\0') return std::nullopt;
    return text;
  };
  settings.model = value("LECTERN_MODEL");
  settings.collection = value("LECTERN_COLLECTION");
  if (const auto threads = value("LECTERN_THREADS")) {
    int n = 0;
    const auto [end, error] = std::from_chars(threads->data(), threads->data() + threads->size(), n);
    if (error != std::errc() || end != threads->data() + threads->size() || n < 0 ||
        n > ThreadPool::kMaxThreads)
      bad_threads("LECTERN_THREADS=" + *threads);
    settings.threads = n;
  }
  if (const auto device = value("LECTERN_DEVICE")) {
    check_device("LECTERN_DEVICE", *device);
    settings.device = device;
  }
  settings.llm = value("LECTERN_LLM");
  settings.llm_model = value("LECTERN_LLM_MODEL");
  if (const auto context = value("LECTERN_LLM_CONTEXT"))
    settings.llm_context = context_of("LECTERN_LLM_CONTEXT", *context);
  if (const auto context = value("LECTERN_MAX_CONTEXT"))
    settings.max_context = context_of("LECTERN_MAX_CONTEXT", *context);
  if (const auto kept = value("LECTERN_KEPT_GB")) {
    double gb = 0;
    const auto [end, error] = std::from_chars(kept->data(), kept->data() + kept->size(), gb);
    if (error != std::errc() || end != kept->data() + kept->size() || !(gb >= 0 && gb <= kMaxKeptGb))
      bad_kept("LECTERN_KEPT_GB=" + *kept);
    settings.kept_gb = gb;
  }
  if (const auto kv = value("LECTERN_KV")) {
    if (!is_kv_type(*kv)) bad_kv("LECTERN_KV=" + *kv);
    settings.kv = kv;
  }
  return settings;
}

// Relative paths in a file are relative to that file. Only the user's own file may name a server.
Settings from_file(const std::filesystem::path& path, bool is_users) {
  const Json json = parse_json(read_file(path, kMaxSettingsBytes), path.string());
  const auto fail = [&](const std::string& why) -> void {
    throw Error(ErrorCode::kInvalidArgument, path.string() + ": " + why);
  };
  if (!json.is_object()) fail("must be one JSON object, such as {\"model\": \"...\"}");
  Settings settings;
  for (const auto& [key, value] : json.items()) {
    if (key == "model" && value.is_string()) {
      settings.model = value.get<std::string>();
    } else if (key == "collection" && value.is_string()) {
      settings.collection = (path.parent_path() / value.get<std::string>()).string();
    } else if (key == "threads" && value.is_number_integer()) {
      const auto n = value.get<int64_t>();
      if (n < 0 || n > ThreadPool::kMaxThreads) bad_threads(path.string());
      settings.threads = static_cast<int>(n);
    } else if (key == "device" && value.is_string()) {
      settings.device = value.get<std::string>();
      check_device(path.string(), *settings.device);
    } else if (key == "kv" && value.is_string()) {
      settings.kv = value.get<std::string>();
      if (!is_kv_type(*settings.kv)) bad_kv(path.string());
    } else if (key == "max_context" && value.is_number_integer()) {
      const auto n = value.get<int64_t>();
      if (n < kMinContext || n > kMaxContext) bad_context(path.string() + ": max_context");
      settings.max_context = static_cast<int>(n);
    } else if (key == "kept_gb" && value.is_number()) {
      const auto gb = value.get<double>();
      if (!(gb >= 0 && gb <= kMaxKeptGb)) bad_kept(path.string());
      settings.kept_gb = gb;
    } else if (key.starts_with("llm") && !is_users) {
      fail("\"" + key +
           "\" may stand only in the user's own config.json: a project must not choose where documents are "
           "sent");
    } else if (key == "llm" && value.is_string()) {
      settings.llm = value.get<std::string>();
    } else if (key == "llm_model" && value.is_string()) {
      settings.llm_model = value.get<std::string>();
    } else if (key == "llm_key_file" && value.is_string()) {
      settings.llm_key_file = (path.parent_path() / value.get<std::string>()).string();
    } else if (key == "llm_context" && value.is_number_integer()) {
      const auto n = value.get<int64_t>();
      if (n < kMinContext || n > kMaxContext) bad_context(path.string());
      settings.llm_context = static_cast<int>(n);
    } else {
      fail("\"" + key +
           "\" is not a setting, or its value has the wrong type (there are: model, device, threads, kv, "
           "max_context, kept_gb, collection, llm, llm_model, llm_key_file, llm_context)");
    }
  }
  return settings;
}

std::optional<std::filesystem::path> project_file() {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::current_path(error);
  while (!error && !folder.empty()) {
    std::filesystem::path candidate = folder / ".lectern.json";
    if (std::filesystem::is_regular_file(candidate, error)) return candidate;
    error.clear();
    if (folder == folder.parent_path()) break;
    folder = folder.parent_path();
  }
  return std::nullopt;
}

std::optional<std::filesystem::path> user_file() {
  std::filesystem::path folder;
  try {
    folder = config_folder();
  } catch (const Error&) {
    return std::nullopt;  // no HOME: no user file
  }
  std::error_code error;
  if (!std::filesystem::is_regular_file(folder / "config.json", error)) return std::nullopt;
  return folder / "config.json";
}

}  // namespace

void add_model_options(CLI::App* command, SharedOptions& options) {
  command->add_option("-m,--model", options.model,
                      "Model: an id of `lectern models`, or the path of a .gguf file or model folder");
  command
      ->add_option("--device", options.device,
                   "Where the model runs: auto (default; the first GPU with room for it, else the CPU), cpu, "
                   "cuda, or cuda:N")
      ->check([](const std::string& device) -> std::string {
        try {
          parse_device(device);
          return "";
        } catch (const Error& error) {
          return error.what();
        }
      });
  command->add_option("-t,--threads", options.threads, "Threads; 0: one per processor")
      ->check(CLI::Range(0, ThreadPool::kMaxThreads));
  command
      ->add_option("--kv", options.kv,
                   "How the KV cache is kept: f16 (default), or int8, a little more than half the memory")
      ->check(CLI::IsMember({"f16", "int8"}));
  command
      ->add_option("--extend", options.extend,
                   "Read beyond what the model was trained on: dca, Dual Chunk Attention, 32 times as far")
      ->check(CLI::IsMember({"dca"}));
  command->add_flag(
      "--fp8", options.fp8,
      "On a GPU: multiply 8-bit floats (e4m3) where prompts are read, faster on Hopper and newer");
  command->add_option("--sparse-config", options.sparse_config,
                      "Read long texts sparsely by the columns and diagonals that this file budgets "
                      "(sparse_attention_config.json)");
  command->add_flag("--dense", options.dense, "Read texts above 32,768 tokens in full, not sparsely");
  command
      ->add_option("--max-context", options.max_context,
                   "The longest context in tokens, however much model and memory allow; 0: no limit")
      ->check(CLI::Range(0, kMaxContext));
}

void add_kept_option(CLI::App* command, SharedOptions& options) {
  command
      ->add_option(
          "--kept-gb", options.kept_gb,
          "GB on disk for documents that were read whole (--level 4), which then are not read again; "
          "0: none (default: 4)")
      ->check(number_in(0, kMaxKeptGb));
}

void add_helper_option(CLI::App* command, SharedOptions& options) {
  command->add_option("--helper-model", options.helper_model,
                      "A smaller local model for the cheap calls: splitting, keywords, scores, notes");
}

void add_llm_options(CLI::App* command, SharedOptions& options) {
  command->add_option(
      "--llm", options.llm,
      "Use a model behind this OpenAI-compatible URL, such as http://localhost:8080/v1; it is sent "
      "the passages that it reads");
  command->add_option("--llm-model", options.llm_model, "Its name there (default: the only one there is)");
  command->add_option("--llm-key-file", options.llm_key_file,
                      "File that holds the API key (default: LECTERN_LLM_API_KEY, then OPENAI_API_KEY)");
  add_helper_option(command, options);
  command
      ->add_option("--llm-context", options.llm_context,
                   "Its context window in tokens (default: as it tells)")
      ->check(CLI::Range(kMinContext, kMaxContext));
}

void add_collection_option(CLI::App* command, SharedOptions& options) {
  command->add_option("-c,--collection", options.collection,
                      "Database file of the collection (default: one per folder, under the data folder)");
}

void add_output_options(CLI::App* command, SharedOptions& options) {
  command->add_flag("--json", options.json, "Print JSON (docs/cli.md describes it)");
  command->add_flag("-q,--quiet", options.quiet, "No progress and no notes; warnings and errors stay");
}

void complete_options(SharedOptions& options) {
  if (!options.llm.empty() && !options.model.empty()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "--model names a local model and --llm one elsewhere: give one of them (--llm-model NAME is the "
        "name on the server)");
  }
  const bool is_local = !options.model.empty();  // a flag wins over a server in the environment or a file
  const auto fill = [&options, is_local](const Settings& settings) {
    if (options.llm.empty() && settings.llm && !is_local) options.llm = *settings.llm;
    if (options.llm_model.empty() && settings.llm_model) options.llm_model = *settings.llm_model;
    if (options.llm_key_file.empty() && settings.llm_key_file) options.llm_key_file = *settings.llm_key_file;
    if (options.llm_context == 0 && settings.llm_context) options.llm_context = *settings.llm_context;
    if (options.model.empty() && settings.model) options.model = *settings.model;
    if (options.collection.empty() && settings.collection) options.collection = *settings.collection;
    if (options.threads == 0 && settings.threads) options.threads = *settings.threads;
    if (options.device.empty() && settings.device) options.device = *settings.device;
    if (options.kv.empty() && settings.kv) options.kv = *settings.kv;
    if (options.max_context == 0 && settings.max_context) options.max_context = *settings.max_context;
    if (!options.kept_gb) options.kept_gb = settings.kept_gb;
  };
  fill(from_environment());
  if (const auto path = project_file()) fill(from_file(*path, false));
  if (const auto path = user_file()) fill(from_file(*path, true));
}

}  // namespace lectern::cli
