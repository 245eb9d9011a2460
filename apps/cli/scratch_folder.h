// A folder for files of a moment, which goes with the object.
#pragma once

#include <filesystem>

namespace lectern::cli {

struct ScratchFolder {
  // Throws Error(kIo).
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::filesystem::path path;
};

}  // namespace lectern::cli
