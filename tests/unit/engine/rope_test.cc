#include "engine/rope.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

using namespace lectern;

namespace {

Qwen2Config config_of(int head_dim, float theta) {
  Qwen2Config config = test::tiny_config();
  config.head_dim = head_dim;
  config.rope_theta = theta;
  return config;
}

}  // namespace

TEST_CASE("Rope turns dimension i by position * theta^(-2i/d)") {
  std::vector<float> table(64);
  Rope(config_of(64, 1e6f)).fill_key(30000, table.data());
  for (int i = 0; i < 32; ++i) {
    const double angle = 30000 * std::pow(1e6, -2.0 * i / 64);
    CHECK(table[static_cast<size_t>(i)] == Approx(std::cos(angle)).margin(1e-6));
    CHECK(table[static_cast<size_t>(32 + i)] == Approx(std::sin(angle)).margin(1e-6));
  }
}

TEST_CASE("Rope with YaRN as published for Qwen2-7B at 128K") {
  // theta 1e6, d 128, factor 4 over 32768: dimensions up to 23 keep their speed, from 40 on they turn four
  // times slower, and everything is scaled by 0.1 ln 4 + 1.
  Qwen2Config config = config_of(128, 1e6f);
  config.rope_scaling = YarnScaling{4.0f, 32768};
  std::vector<float> table(128);
  const int position = 1000;
  Rope(config).fill_key(position, table.data());
  for (int i = 0; i < 64; ++i) {
    const double slowed = i <= 23 ? 0.0 : i >= 40 ? 1.0 : (i - 23) / 17.0;
    const double angle = position * std::pow(1e6, -2.0 * i / 128) * (1.0 - slowed + slowed / 4.0);
    INFO("dimension " << i);
    CHECK(table[static_cast<size_t>(i)] == Approx(1.138629436 * std::cos(angle)).margin(1e-5));
    CHECK(table[static_cast<size_t>(64 + i)] == Approx(1.138629436 * std::sin(angle)).margin(1e-5));
  }
}

TEST_CASE("A YaRN factor of 1 changes nothing") {
  Qwen2Config config = config_of(64, 1e6f);
  std::vector<float> plain(64), scaled(64);
  Rope(config).fill_key(123, plain.data());
  config.rope_scaling = YarnScaling{1.0f, 32768};
  Rope(config).fill_key(123, scaled.data());
  CHECK(plain == scaled);
}

namespace {

// Chunks of 128 keys; distances up to 64 are true, and none exceeds 192.
Qwen2Config dual_chunk_config(int original_max_position_embeddings) {
  Qwen2Config config = config_of(64, 1e4f);
  config.dual_chunk_attention = DualChunkAttention{192, 64, original_max_position_embeddings};
  return config;
}

std::vector<float> plain_key(int position) {
  std::vector<float> table(64);
  Rope(config_of(64, 1e4f)).fill_key(position, table.data());
  return table;
}

std::vector<float> query(const Rope& rope, int position, KeyChunk chunk) {
  std::vector<float> table(64);
  rope.fill_query(position, chunk, table.data());
  return table;
}

}  // namespace

TEST_CASE("Dual Chunk Attention rotates keys by their place in a chunk and queries by the keys they meet") {
  const Rope rope(dual_chunk_config(0));
  CHECK(rope.chunk_tokens() == 128);
  for (const int position : {0, 1, 127, 128, 191, 192, 193, 255, 256, 400}) {
    INFO(position);
    std::vector<float> key(64);
    rope.fill_key(position, key.data());
    const int in_chunk = position % 128;
    CHECK(key == plain_key(in_chunk));
    CHECK(query(rope, position, KeyChunk::kIntra) == plain_key(in_chunk));
    CHECK(query(rope, position, KeyChunk::kSucc) == plain_key(std::min(in_chunk + 128, 192)));
    CHECK(query(rope, position, KeyChunk::kInter) == plain_key(192));
  }
}

TEST_CASE("The temperature of Dual Chunk Attention grows with the query's own length") {
  const Rope rope(dual_chunk_config(256));
  CHECK(query(rope, 255, KeyChunk::kIntra) == plain_key(127));
  const double temperature = 0.1 * std::log(1000.0 / 256) + 1.0;
  const auto table = query(rope, 999, KeyChunk::kIntra), plain = plain_key(999 % 128);
  for (size_t i = 0; i < table.size(); ++i)
    CHECK(table[i] == Approx(temperature * temperature * static_cast<double>(plain[i])).margin(1e-6));
}

TEST_CASE("Without Dual Chunk Attention queries are rotated as keys are") {
  const Rope rope(config_of(64, 1e4f));
  CHECK(rope.chunk_tokens() == 0);
  CHECK(query(rope, 77, KeyChunk::kIntra) == plain_key(77));
}
