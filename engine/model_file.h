// Opens a model: a GGUF file (v2, v3, split files included) or a Hugging Face folder (config.json,
// safetensors, tokenizer.json). The file is hostile until checked: every count, offset and shape is compared
// with the bytes that are there and with the config before anything is allocated. Immutable after open; safe
// to read from any thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/model.h"

namespace lectern {

// What the tokenizer is built from.
struct Vocabulary {
  enum class TokenType : uint8_t {
    kNormal,
    kControl,  // "<|im_end|>": never made from text, never printed (GGUF type 3; added_tokens with special:
               // true)
    kAdded,    // "<tool_call>": never made from text, but printed (GGUF type 4; special: false)
    kUnused,   // padding rows (GGUF type 5)
  };
  std::vector<std::string>
      tokens;                    // by id, in the byte-level alphabet (the printable stand-ins of GPT-2's BPE)
  std::vector<TokenType> types;  // by id
  std::vector<std::pair<std::string, std::string>> merges;  // in order of rank
};

// How a model is made to read more than it was trained on.
enum class ContextExtension { kNone, kDualChunk };  // the latter: extend_by_dual_chunks, config.h

class ModelFile {
 public:
  // `path`: a .gguf file (for split models, the first part) or a folder. Throws Error (kNotFound, kCorrupt,
  // kUnsupported) that names the file, the field and the offset. `sparse_config`: a file with the budgets of
  // its sparse attention (sparse_attention_config.h); "": those that come with the model, if any.
  static std::shared_ptr<const ModelFile> open(const std::filesystem::path& path,
                                               ContextExtension extension = ContextExtension::kNone,
                                               const std::filesystem::path& sparse_config = {});
  virtual ~ModelFile() = default;

  virtual const std::filesystem::path& path() const = 0;
  virtual const Qwen2Config& config() const = 0;
  virtual const Weights& weights() const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
  // What the file says of its quantisation, such as "Q4_K_M"; for people.
  virtual std::string quantisation() const = 0;
  virtual uint64_t file_bytes() const = 0;
  // After packing, the mapped pages of these bytes need not stay in memory.
  virtual void release_pages(std::span<const std::byte> bytes) const = 0;
};

}  // namespace lectern
