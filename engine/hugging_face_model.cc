// A Qwen2 model from a Hugging Face folder: config.json, safetensors in one or several files, tokenizer.json.
#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "engine/config_json.h"
#include "engine/model_loaders.h"
#include "engine/safetensors.h"
#include "engine/sparse_attention_config.h"
#include "engine/tokenizer_json.h"
#include "engine/weights.h"

namespace lectern {
namespace {

constexpr uint64_t kMaxConfigBytes = 16 << 20;
constexpr uint64_t kMaxIndexBytes = 64 << 20;
constexpr uint64_t kMaxTokenizerBytes = 256 << 20;
constexpr size_t kMaxShards = 999;

// {"metadata": {...}, "weight_map": {TENSOR: FILE, ...}}
class IndexReader : public JsonVisitor {
 public:
  explicit IndexReader(const std::string& origin) : origin_(origin) {}

  void begin(const Path& path, bool is_object) override {
    if (is_entry(path)) fail(path);
    if (is_map(path)) {
      if (!is_object) fail_without_map();
      has_map_ = true;
    }
  }
  void end(const Path& path) override {
    if (path.empty() && (!has_map_ || files.empty())) fail_without_map();
  }
  void scalar(const Path& path, const JsonScalar& value) override {
    if (path.empty() || is_map(path)) fail_without_map();
    if (!is_entry(path)) return;
    const auto* file = std::get_if<std::string_view>(&value);
    if (file == nullptr || !is_plain_name(*file)) fail(path);
    std::vector<std::string>& names = files[std::string(*file)];
    if (files.size() > kMaxShards || n_tensors_++ == kMaxTensors) fail(path);
    names.push_back(path[1]);
  }

  std::map<std::string, std::vector<std::string>> files;  // file -> names of its tensors

 private:
  static bool is_map(const Path& path) { return path.size() == 1 && path[0] == "weight_map"; }
  static bool is_entry(const Path& path) { return path.size() == 2 && path[0] == "weight_map"; }

  // A file of this folder: nothing that could lead out of it.
  static bool is_plain_name(std::string_view name) {
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
             c == '_' || c == '.';
    });
    return plain && name.size() <= 255 && !name.starts_with('.') && name.ends_with(".safetensors");
  }

  [[noreturn]] void fail(const Path& path) const {
    throw Error(ErrorCode::kCorrupt, origin_ + ": weight_map: tensor " + quote(path[1]) +
                                         " is not in a .safetensors file of this folder, or the list is "
                                         "absurdly long");
  }

  [[noreturn]] void fail_without_map() const {
    throw Error(ErrorCode::kCorrupt,
                origin_ + ": has no object weight_map that says which file holds which tensor");
  }

  const std::string& origin_;
  bool has_map_ = false;
  uint64_t n_tensors_ = 0;
};

void append_file(const std::filesystem::path& path, LoadedModel& model, TensorTable& tensors) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    throw Error(ErrorCode::kNotFound,
                path.string() + ": is named by the index but not there; download the whole folder again");
  model.files.emplace_back(path);
  TensorTable part = read_safetensors(model.files.back().bytes(), path.string());
  tensors.merge(part);
  if (!part.empty())
    throw Error(ErrorCode::kCorrupt,
                path.string() + ": tensor " + quote(part.begin()->first) + " is in another file as well");
}

[[noreturn]] void fail_without_weights(const std::filesystem::path& folder) {
  std::error_code ignored;
  const bool has_pickles = std::filesystem::exists(folder / "pytorch_model.bin", ignored) ||
                           std::filesystem::exists(folder / "pytorch_model.bin.index.json", ignored);
  throw Error(
      has_pickles ? ErrorCode::kUnsupported : ErrorCode::kNotFound,
      folder.string() + ": holds no model.safetensors" +
          (has_pickles
               ? "; pytorch_model.bin is not read, since pickles can run code: convert it to safetensors"
               : " and no model.safetensors.index.json; download the whole folder again"));
}

TensorTable read_tensors(const std::filesystem::path& folder, LoadedModel& model) {
  TensorTable tensors;
  const std::filesystem::path index_path = folder / "model.safetensors.index.json";
  std::error_code ignored;
  if (!std::filesystem::exists(index_path, ignored)) {
    if (!std::filesystem::exists(folder / "model.safetensors", ignored)) fail_without_weights(folder);
    append_file(folder / "model.safetensors", model, tensors);
    return tensors;
  }
  const std::string origin = index_path.string();
  IndexReader index(origin);
  visit_json(read_file(index_path, kMaxIndexBytes), origin, index);
  for (const auto& [file, names] : index.files) {
    append_file(folder / file, model, tensors);
    for (const std::string& name : names) {
      if (tensors.find(name) == tensors.end())
        throw Error(ErrorCode::kCorrupt, origin + ": tensor " + quote(name) + " is not in " + quote(file) +
                                             ", where it should be");
    }
  }
  return tensors;
}

}  // namespace

LoadedModel load_hugging_face(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / "config.json", ignored))
    throw Error(ErrorCode::kNotFound,
                folder.string() +
                    ": holds no config.json, so it is no Hugging Face model folder; give such "
                    "a folder or a .gguf file");
  LoadedModel model;
  const std::string config = (folder / "config.json").string();
  model.config = read_config_json(read_file(config, kMaxConfigBytes), config);
  model.config.name =
      std::filesystem::absolute(config, ignored).lexically_normal().parent_path().filename().string();
  if (const auto sparse = folder / kSparseAttentionFile; std::filesystem::exists(sparse, ignored))
    model.config.sparse_attention = read_sparse_attention_file(sparse, model.config);
  const TensorTable tensors = read_tensors(folder, model);
  model.weights = bind_weights(model.config, tensors, TensorNaming::kHuggingFace, folder.string());
  model.quantisation = prevailing_type(tensors);
  const std::string tokenizer = (folder / "tokenizer.json").string();
  if (!std::filesystem::exists(tokenizer, ignored))
    throw Error(ErrorCode::kNotFound, tokenizer + ": is not there; download the whole folder again");
  model.vocabulary = read_tokenizer_json(read_file(tokenizer, kMaxTokenizerBytes), tokenizer);
  if (model.vocabulary.tokens.size() > static_cast<size_t>(model.config.vocab_size))
    throw Error(ErrorCode::kCorrupt, tokenizer + ": has " + std::to_string(model.vocabulary.tokens.size()) +
                                         " tokens, but config.json's vocab_size is " +
                                         std::to_string(model.config.vocab_size));
  return model;
}

}  // namespace lectern
