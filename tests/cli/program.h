// Runs the real `lectern` in a world of its own: temporary home, cache, data and settings folders.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "base/subprocess.h"
#include "tests/support/environment.h"
#include "tests/support/temp_folder.h"

namespace lectern::test {

class World {
 public:
  std::filesystem::path folder() const { return folder_.path(); }
  std::filesystem::path documents() const { return folder() / "documents"; }

  // A file under documents(), made with its folders.
  std::filesystem::path write(const std::string& path, const std::string& content) const {
    const auto file = documents() / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }

  SubprocessResult run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), LECTERN_PROGRAM);
    return run_subprocess(arguments, {.max_seconds = 300, .max_output_bytes = uint64_t{64} << 20},
                          CancelToken());
  }
  // `script` in a shell that knows the program as $LECTERN and the documents as $DOCUMENTS.
  SubprocessResult run_shell(const std::string& script) const {
    const ScopedVariable program("LECTERN", LECTERN_PROGRAM);
    const ScopedVariable documents_variable("DOCUMENTS", documents().string());
    const std::vector<std::string> command = {"bash", "-c", script};
    return run_subprocess(command, {.max_seconds = 300, .max_output_bytes = uint64_t{64} << 20},
                          CancelToken());
  }

  // The lines after "Examples" in the help of `command`.
  std::vector<std::string> examples(std::vector<std::string> command) const {
    command.emplace_back("--help");
    std::istringstream lines(run(command).out);
    std::vector<std::string> examples;
    bool begun = false;
    for (std::string line; std::getline(lines, line);) {
      if (begun && line.starts_with("  ")) examples.push_back(line.substr(2));
      if (line.starts_with("Examples")) begun = true;
    }
    return examples;
  }

  static Json json(const SubprocessResult& result) { return parse_json(result.out, "stdout"); }

 private:
  TempFolder folder_;
  ScopedVariable home_{"HOME", (folder() / "home").string()};
  ScopedVariable cache_{"XDG_CACHE_HOME", (folder() / "cache").string()};
  ScopedVariable data_{"XDG_DATA_HOME", (folder() / "data").string()};
  ScopedVariable config_{"XDG_CONFIG_HOME", (folder() / "config").string()};
};

// Exactly one line, which begins as all our errors do.
inline bool is_one_error(const std::string& err) {
  return err.starts_with("lectern: error: ") && err.find('\n') == err.size() - 1;
}

}  // namespace lectern::test
