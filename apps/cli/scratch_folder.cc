#include "apps/cli/scratch_folder.h"

#include <stdlib.h>

#include <string>
#include <system_error>

#include "base/error.h"

namespace lectern::cli {

ScratchFolder::ScratchFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "lectern-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw Error(ErrorCode::kIo, name + ": cannot be made");
  path = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

}  // namespace lectern::cli
