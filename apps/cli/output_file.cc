#include "apps/cli/output_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "apps/cli/load_model.h"
#include "base/error.h"
#include "base/files.h"
#include "models/registry.h"

namespace lectern::cli {

namespace fs = std::filesystem;

namespace {

bool lies_in(const fs::path& file, const fs::path& folder) {
  std::error_code error;
  const fs::path inner = fs::weakly_canonical(fs::absolute(file, error), error);
  const fs::path outer = fs::canonical(folder, error);
  return !error && std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

// One that is not there is said where it is opened.
fs::path path_of_model(const std::string& name) {
  try {
    return resolve_model(name);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

std::vector<Input> with_shared_inputs(const Program& program, std::vector<Input> inputs) {
  const SharedOptions& options = program.options;
  if (options.llm.empty()) inputs.push_back({"--model", path_of_model(model_name(program))});
  if (!options.helper_model.empty())
    inputs.push_back({"--helper-model", path_of_model(options.helper_model)});
  inputs.push_back({"--sparse-config", options.sparse_config});
  inputs.push_back({"--llm-key-file", options.llm_key_file});
  return inputs;
}

void check_output(const std::string& option, const fs::path& path, const std::vector<Input>& inputs) {
  if (path.empty()) return;
  fs::path file;
  try {
    file = writable_file(path);
  } catch (const Error& error) {
    throw Error(error.code(), option + " " + error.what());
  }
  for (const Input& input : inputs) {
    std::error_code error;
    std::string problem;
    if (input.path.empty()) continue;
    if (fs::is_directory(input.path, error)) {
      // Of a link among the documents what it leads to is one of them.
      if (lies_in(file, input.path) || lies_in(fs::absolute(path, error).parent_path(), input.path))
        problem = "lies in " + input.path.string() + ", which " + input.name + " names and which is read";
    } else if (fs::equivalent(file, input.path, error)) {
      problem = "is the file that " + input.name + " names, and would be overwritten";
    }
    if (!problem.empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  option + " " + path.string() + ": " + problem + "; name a file elsewhere");
    }
  }
  const fs::path folder = file.has_parent_path() ? file.parent_path() : ".";
  if (std::error_code error; !fs::is_directory(folder, error))
    throw Error(ErrorCode::kIo, option + " " + path.string() + ": there is no folder " + folder.string() +
                                    "; make it, or name a file elsewhere");
}

OutputFile::OutputFile(std::string option, const fs::path& path, const std::vector<Input>& inputs)
    : option_(std::move(option)), path_(path) {
  if (path.empty()) return;
  check_output(option_, path, inputs);
  file_.emplace(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  if (file_->fd < 0) fail(errno);
}

void OutputFile::add(const Json& line) {
  LECTERN_CHECK(is_open());
  if (!std::exchange(is_emptied_, true) && ::ftruncate(file_->fd, 0) != 0) fail(errno);
  const std::string text = dump_json(line) + "\n";
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t n = ::write(file_->fd, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(errno);
    rest.remove_prefix(static_cast<size_t>(n));
  }
}

void OutputFile::fail(int error) const {
  throw Error(ErrorCode::kIo, option_ + " " + path_.string() + ": cannot be written: " +
                                  std::strerror(error) + "; make room, or name a file elsewhere");
}

}  // namespace lectern::cli
