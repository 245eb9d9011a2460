// Writes GGUF bytes entry by entry, so that a test can make any one of them wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lectern::gguf {

template <typename T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}
inline std::string text(std::string_view value) {
  return raw<uint64_t>(value.size()) + std::string(value);
}

// Values of keys: the type's id, then the value.
inline std::string u32(uint32_t value) {
  return raw<uint32_t>(4) + raw(value);
}
inline std::string f32(float value) {
  return raw<uint32_t>(6) + raw(value);
}
inline std::string str(std::string_view value) {
  return raw<uint32_t>(8) + text(value);
}
inline std::string array(uint32_t element_type, uint64_t count, const std::string& elements) {
  return raw<uint32_t>(9) + raw(element_type) + raw(count) + elements;
}
inline std::string strings(const std::vector<std::string>& values) {
  std::string elements;
  for (const std::string& value : values) elements += text(value);
  return array(8, values.size(), elements);
}
inline std::string i32s(const std::vector<int32_t>& values) {
  std::string elements;
  for (const int32_t value : values) elements += raw(value);
  return array(5, values.size(), elements);
}

struct Tensor {
  std::string name;
  std::vector<uint64_t> dims;  // innermost first, as in the file
  uint32_t type = 0;           // F32
  std::optional<uint64_t> offset;
};

class Builder {
 public:
  uint32_t magic = 0x46554747;
  uint32_t version = 3;
  std::optional<uint64_t> n_tensors, n_keys;  // when not the true ones
  std::vector<std::pair<std::string, std::string>> keys;
  std::vector<Tensor> tensors;
  uint64_t data_bytes_cut = 0;

  // Replaces the value of a key, or adds it.
  Builder& set(const std::string& key, const std::string& value) {
    for (auto& [name, old] : keys) {
      if (name != key) continue;
      old = value;
      return *this;
    }
    keys.emplace_back(key, value);
    return *this;
  }
  Builder& erase(const std::string& key) {
    std::erase_if(keys, [&](const auto& entry) { return entry.first == key; });
    return *this;
  }
  Tensor& tensor(const std::string& name) {
    for (Tensor& tensor : tensors)
      if (tensor.name == name) return tensor;
    return tensors.emplace_back(Tensor{name, {1}, 0, {}});
  }
  Builder& erase_tensor(const std::string& name) {
    std::erase_if(tensors, [&](const Tensor& tensor) { return tensor.name == name; });
    return *this;
  }

  // Tensors are laid out one after another, 32-byte aligned, as four-byte elements.
  std::string bytes() const {
    std::string out = raw(magic) + raw(version) + raw<uint64_t>(n_tensors.value_or(tensors.size())) +
                      raw<uint64_t>(n_keys.value_or(keys.size()));
    for (const auto& [key, value] : keys) out += text(key) + value;
    uint64_t data_bytes = 0;
    for (const Tensor& tensor : tensors) {
      out += text(tensor.name) + raw(static_cast<uint32_t>(tensor.dims.size()));
      uint64_t elements = 1;
      for (const uint64_t n : tensor.dims) {
        out += raw(n);
        elements *= n;
      }
      out += raw(tensor.type) + raw(tensor.offset.value_or(data_bytes));
      if (elements < 100'000) data_bytes += (4 * elements + 31) / 32 * 32;
    }
    out.resize((out.size() + 31) / 32 * 32);
    for (uint64_t i = 0; i + data_bytes_cut < data_bytes; ++i) out += static_cast<char>(i % 251 % 63);
    return out;
  }
};

// A whole Qwen2 of one layer: hidden 8, 2 query heads on 1 KV head of 4, 12 intermediate, 6 tokens, untied.
inline Builder tiny_qwen2() {
  Builder b;
  b.set("general.architecture", str("qwen2")).set("general.name", str("tiny"));
  b.set("general.file_type", u32(0));
  b.set("qwen2.block_count", u32(1)).set("qwen2.context_length", u32(64));
  b.set("qwen2.embedding_length", u32(8)).set("qwen2.feed_forward_length", u32(12));
  b.set("qwen2.attention.head_count", u32(2)).set("qwen2.attention.head_count_kv", u32(1));
  b.set("qwen2.attention.layer_norm_rms_epsilon", f32(1e-6f)).set("qwen2.rope.freq_base", f32(1e6f));
  b.set("tokenizer.ggml.model", str("gpt2")).set("tokenizer.ggml.pre", str("qwen2"));
  b.set("tokenizer.ggml.tokens", strings({"a", "b", "ab", "<|im_end|>", "<tool_call>", "[PAD5]"}));
  b.set("tokenizer.ggml.token_type", i32s({1, 1, 1, 3, 4, 5}));
  b.set("tokenizer.ggml.merges", strings({"a b"}));
  b.tensors = {{"token_embd.weight", {8, 6}, 0, {}},
               {"blk.0.attn_norm.weight", {8}, 0, {}},
               {"blk.0.attn_q.weight", {8, 8}, 0, {}},
               {"blk.0.attn_k.weight", {8, 4}, 0, {}},
               {"blk.0.attn_v.weight", {8, 4}, 0, {}},
               {"blk.0.attn_q.bias", {8}, 0, {}},
               {"blk.0.attn_k.bias", {4}, 0, {}},
               {"blk.0.attn_v.bias", {4}, 0, {}},
               {"blk.0.attn_output.weight", {8, 8}, 0, {}},
               {"blk.0.ffn_norm.weight", {8}, 0, {}},
               {"blk.0.ffn_gate.weight", {8, 12}, 0, {}},
               {"blk.0.ffn_up.weight", {8, 12}, 0, {}},
               {"blk.0.ffn_down.weight", {12, 8}, 0, {}},
               {"output_norm.weight", {8}, 0, {}},
               {"output.weight", {8, 6}, 0, {}}};
  return b;
}

}  // namespace lectern::gguf
