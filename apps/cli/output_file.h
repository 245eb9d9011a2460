// Files that a command writes beside its result, such as those of --replies and --svg: never over what it
// reads, and nothing of them is lost in silence. Not thread-safe.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/command.h"
#include "base/file_descriptor.h"
#include "base/json.h"

namespace lectern::cli {

// What a command reads: a file, or a folder with all that lies in it. An empty path is none.
struct Input {
  std::string name;  // in messages: the option that names it, such as "--questions"
  std::filesystem::path path;
};

// `inputs`, the model and the files that the shared options name.
std::vector<Input> with_shared_inputs(const Program& program, std::vector<Input> inputs);

// Throws Error that names `option`, the path and what to do: kInvalidArgument when writing there would change
// an input, kIo when there is something that is no regular file. An empty path is no output.
void check_output(const std::string& option, const std::filesystem::path& path,
                  const std::vector<Input>& inputs);

// JSON lines that are in the file when add() returns, for who looks on.
class OutputFile {
 public:
  // Checks the path and that it can be written. What is there stays until the first line comes. Throws what
  // check_output throws, and Error(kIo).
  OutputFile(std::string option, const std::filesystem::path& path, const std::vector<Input>& inputs);

  // False for an empty path: then nothing can be added.
  bool is_open() const { return file_.has_value(); }
  // Throws Error(kIo) when not all of it could be written.
  void add(const Json& line);

 private:
  [[noreturn]] void fail(int error) const;

  std::string option_;
  std::filesystem::path path_;
  std::optional<FileDescriptor> file_;
  bool is_emptied_ = false;
};

}  // namespace lectern::cli
