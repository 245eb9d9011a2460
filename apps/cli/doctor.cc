// lectern doctor: what this machine has, and what is missing for which command.
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "apps/cli/language_model.h"
#include "apps/cli/reading_plan.h"
#include "apps/cli/target.h"
#include "base/error.h"
#include "base/files.h"
#include "base/subprocess.h"
#include "base/thread_pool.h"
#include "engine/device.h"
#include "kernels/cpu/dispatch.h"
#include "models/registry.h"
#include "retrieval/analyzer.h"

namespace lectern::cli {
namespace {

namespace fs = std::filesystem;

enum class State { kGood, kWarning, kBad };

struct Finding {
  std::string name;
  State state = State::kGood;
  std::string value;
  std::string advice;  // what to do about it; empty when it is good
};

std::string_view to_string(State state) {
  switch (state) {
    case State::kGood:
      return "ok";
    case State::kWarning:
      return "warning";
    case State::kBad:
      return "bad";
  }
  return "";
}

Finding check_kernels() {
  Finding finding{.name = "processor"};
  for (const KernelTable* table : all_kernel_tables())
    finding.value += (finding.value.empty() ? "" : ", ") + std::string(table->name) +
                     (can_run(*table) ? "" : " (cannot run here)");
  try {
    finding.value = "uses " + std::string(active_kernel_table().name) + " of " + finding.value + "; " +
                    plural(ThreadPool::default_size(), "thread");
  } catch (const Error& error) {
    finding.state = State::kBad;
    finding.advice = error.what();
  }
  return finding;
}

Finding check_cuda_devices() {
  Finding finding{.name = "CUDA devices"};
  const CudaPresence cuda = find_cuda();
  for (const CudaDevice& device : cuda.devices)
    finding.value += (finding.value.empty() ? "cuda:" : "; cuda:") + std::to_string(device.index) + " " +
                     device.name + ", compute capability " + std::to_string(device.major) + "." +
                     std::to_string(device.minor) + ", " + format_bytes(device.free_bytes) + " of " +
                     format_bytes(device.memory_bytes) + " free";
  if (cuda.devices.empty()) finding.value = "none: " + cuda.why_none;
  return finding;
}

Finding check_memory() {
  const auto pages = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES));
  const auto page_bytes = static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
  const uint64_t bytes = pages * page_bytes;
  Finding finding{.name = "memory", .value = format_bytes(bytes)};
  if (bytes < uint64_t{3} << 30) {
    finding.state = State::kWarning;
    finding.advice = "the default model needs about 2 GB; use the 0.5B model on this machine";
  }
  return finding;
}

// A program that one part of lectern starts.
Finding check_program(const std::string& name, const std::vector<std::string>& command,
                      const std::string& advice) {
  Finding finding{.name = name};
  try {
    const SubprocessResult result = run_subprocess(command, {.max_seconds = 20}, CancelToken());
    const std::string said = result.out.empty() ? result.err : result.out;
    finding.value = said.substr(0, said.find('\n'));
    if (result.exit_code == 0) return finding;
  } catch (const Error&) {
    finding.value = "not found";
  }
  finding.state = State::kWarning;
  finding.advice = advice;
  return finding;
}

Finding check_model() {
  const ModelEntry& entry = *find_model(default_model_id());
  int installed = 0;
  for (const ModelEntry& other : registry()) installed += is_installed(other) ? 1 : 0;
  Finding finding{.name = "models", .value = plural(installed, "model") + " in " + models_folder().string()};
  if (!is_installed(entry)) {
    finding.state = State::kWarning;
    finding.advice = "the default model is not there; get it with: lectern pull";
  }
  return finding;
}

// The folder, or the nearest above it that is there.
fs::path first_existing(fs::path folder) {
  std::error_code error;
  while (!folder.empty() && !fs::exists(folder, error) && folder != folder.parent_path())
    folder = folder.parent_path();
  return folder;
}

Finding check_folder(const std::string& name, const fs::path& folder) {
  Finding finding{.name = name, .value = folder.string()};
  const fs::path existing = first_existing(folder);
  std::error_code error;
  if (::access(existing.c_str(), W_OK) != 0) {
    finding.state = State::kBad;
    finding.advice = existing.string() + " cannot be written";
    return finding;
  }
  const fs::space_info space = fs::space(existing, error);
  if (!error) finding.value += ", " + format_bytes(space.available) + " free";
  return finding;
}

// File systems over a network lack the shared memory that readers of the log need.
std::string network_file_system(const fs::path& folder) {
  struct statfs info {};
  if (::statfs(folder.c_str(), &info) != 0) return "";
  switch (static_cast<uint32_t>(info.f_type)) {  // statfs(2)
    case 0x6969:
      return "NFS";
    case 0x517B:
    case 0xFE534D42:
      return "SMB";
    case 0xFF534D42:
      return "CIFS";
    case 0x01021997:
      return "9p";
    case 0x00C36400:
      return "Ceph";
    case 0x5346414F:
      return "AFS";
    default:
      return "";
  }
}

// The database library, and whether write-ahead logs work where the collections lie.
Finding check_storage(const fs::path& folder) {
  Finding finding{.name = "storage", .value = storage_version() + " with a write-ahead log"};
  if (const std::string caveat = storage_caveat(); !caveat.empty()) finding.value += "; " + caveat;
  if (const std::string network = network_file_system(first_existing(folder)); !network.empty()) {
    finding.state = State::kWarning;
    finding.advice =
        folder.string() + " is on " + network +
        ", where a write-ahead log is unsafe; keep collections on a local disk with --collection";
  }
  return finding;
}

// What documents that were read whole take on disk.
Finding check_kept(const Program& program) {
  const KvStoreUse use = kv_store_use(kept_folder());
  const uint64_t limit = kept_limit_bytes(program);
  return {.name = "kept texts",
          .value = plural(use.files, "text") + ", " + format_bytes(use.bytes) + " of " + format_bytes(limit) +
                   " in " + kept_folder().string()};
}

// Postings and chunks of an index must agree.
Finding check_collection(const Target& target) {
  Finding finding{.name = "index", .value = printable(target.database.string())};
  try {
    open_existing(target)->verify();
  } catch (const Error& error) {
    finding.state = State::kBad;
    finding.advice = printable(error.what());
  }
  return finding;
}

// The model behind --llm.
Finding check_server(Program& program) {
  Finding finding{.name = "model server", .value = printable(program.options.llm)};
  try {
    const OpenModel open = open_model(program);
    finding.value += ", " + printable(open.model->name()) + ", " +
                     std::to_string(open.model->context_tokens()) + " tokens";
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    finding.value = "--llm";  // the URL may be one that must not be shown
    finding.state = State::kBad;
    finding.advice = printable(error.what());
  }
  return finding;
}

int doctor(Program& program, const std::string& folder) {
  std::optional<Target> target;
  if (!folder.empty() || !program.options.collection.empty()) target = find_target(program, folder);
  std::vector<Finding> findings = {
      {.name = "lectern", .value = LECTERN_VERSION},
      {.name = "text analysis", .value = Analyzer::version()},
      check_kernels(),
      check_cuda_devices(),
      check_memory(),
      check_program("pdftotext", {"pdftotext", "-v"},
                    "PDF files cannot be read; Debian: apt install poppler-utils"),
      check_program("pip", {"python3", "-m", "pip", "--version"},
                    "models cannot be pulled from package registries; Debian: apt install python3-pip"),
      check_model(),
      check_folder("models folder", models_folder()),
      check_folder("data folder", data_folder()),
      check_folder("settings folder", config_folder()),
      check_kept(program),
      check_storage(target ? fs::absolute(target->database).parent_path() : data_folder()),
  };
  if (target) findings.push_back(check_collection(*target));
  if (is_remote(program)) findings.push_back(check_server(program));
  Output& out = program.output();
  bool healthy = true;
  Json list = Json::array();
  for (const Finding& finding : findings) {
    healthy = healthy && finding.state != State::kBad;
    if (out.json()) {
      list.push_back(Json{{"name", finding.name},
                          {"state", std::string(to_string(finding.state))},
                          {"value", finding.value},
                          {"advice", finding.advice}});
      continue;
    }
    std::string line = finding.name +
                       std::string(finding.name.size() < 16 ? 16 - finding.name.size() : 1, ' ') +
                       finding.value;
    if (finding.state != State::kGood)
      line += "\n" + std::string(16, ' ') +
              out.bold(std::string(to_string(finding.state)) + ": " + finding.advice);
    out.print_line(line);
  }
  if (out.json()) {
    Json result = json_result("doctor");
    result["healthy"] = healthy;
    result["findings"] = list;
    out.print_json(result);
  }
  return healthy ? kExitFound : kExitFailure;
}

}  // namespace

void register_doctor(CLI::App& app, Program& program) {
  CLI::App* command = add_command(app, "doctor", "Show what this machine offers and what is missing",
                                  "  lectern doctor\n"
                                  "  lectern doctor notes --json\n");
  auto folder = std::make_shared<std::string>();
  command->add_option("FOLDER", *folder, "Also check the index of this folder, all of it");
  add_llm_options(command, program.options);
  add_collection_option(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, folder] { return doctor(program, *folder); });
}

}  // namespace lectern::cli
