// Runs a fuzz target on the files of a folder, for builds without libFuzzer.
#include <cstdio>
#include <filesystem>

#include "base/files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  int n_files = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      const std::string content = lectern::read_file(entry.path(), 64 << 20);
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(content.data()), content.size());
      ++n_files;
    }
  }
  std::printf("%d inputs\n", n_files);
  return n_files > 0 ? 0 : 1;
}
