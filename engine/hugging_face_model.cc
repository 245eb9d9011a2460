#include "base/error.h"
#include "engine/model_loaders.h"
namespace lectern {
LoadedModel load_hugging_face(const std::filesystem::path& folder) {
  throw Error(ErrorCode::kUnsupported, folder.string() + ": is a folder; give a GGUF file");
}
}  // namespace lectern
