#include "engine/model_file.h"

#include <functional>
#include <utility>

#include "base/error.h"
#include "engine/model_loaders.h"
#include "engine/sparse_attention_config.h"

namespace lectern {

bool split_merge(std::string_view text, std::pair<std::string, std::string>& merge) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == text.size() ||
      text.find(' ', space + 1) != std::string_view::npos)
    return false;
  merge = {std::string(text.substr(0, space)), std::string(text.substr(space + 1))};
  return true;
}

namespace {

class OpenModel : public ModelFile {
 public:
  OpenModel(std::filesystem::path path, LoadedModel loaded)
      : path_(std::move(path)), loaded_(std::move(loaded)) {}

  const std::filesystem::path& path() const override { return path_; }
  const Qwen2Config& config() const override { return loaded_.config; }
  const Weights& weights() const override { return loaded_.weights; }
  const Vocabulary& vocabulary() const override { return loaded_.vocabulary; }
  std::string quantisation() const override { return loaded_.quantisation; }

  uint64_t file_bytes() const override {
    uint64_t total = 0;
    for (const MappedFile& file : loaded_.files) total += file.bytes().size();
    return total;
  }

  void release_pages(std::span<const std::byte> bytes) const override {
    const std::less_equal<const std::byte*> before;
    for (const MappedFile& file : loaded_.files) {
      const std::span<const std::byte> all = file.bytes();
      if (before(all.data(), bytes.data()) && before(bytes.data() + bytes.size(), all.data() + all.size()))
        file.release_pages(static_cast<size_t>(bytes.data() - all.data()), bytes.size());
    }
  }

 private:
  std::filesystem::path path_;
  LoadedModel loaded_;
};

}  // namespace

std::shared_ptr<const ModelFile> ModelFile::open(const std::filesystem::path& path,
                                                 ContextExtension extension,
                                                 const std::filesystem::path& sparse_config) {
  std::error_code ignored;
  LoadedModel loaded;
  try {
    loaded = std::filesystem::is_directory(path, ignored) ? load_hugging_face(path) : load_gguf(path);
    if (extension == ContextExtension::kDualChunk) extend_by_dual_chunks(loaded.config, path.string());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorrupt) throw;
    throw Error(ErrorCode::kCorrupt, std::string(error.what()) +
                                         ". The model is damaged, incomplete or no model: download it again");
  }
  if (!sparse_config.empty())
    loaded.config.sparse_attention = read_sparse_attention_file(sparse_config, loaded.config);
  return std::make_shared<OpenModel>(path, std::move(loaded));
}

}  // namespace lectern
