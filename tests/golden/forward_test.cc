// The forward pass against the public reference implementation, layer by layer, on the tiny models of this
// folder (README.md).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>

#include "base/files.h"
#include "base/json.h"
#include "engine/backend.h"
#include "kernels/cpu/dispatch.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"

using namespace lectern;

namespace {

// How far the residual stream may be from the reference, as a share of its size (root mean square), and why:
//
// Float weights. The cache rounds K and V to 11 bits: an error of about 2^-11/sqrt(3) = 0.0003 of their size,
// 0.001 with the three layers of rounding that the logits see, doubled for safety.
constexpr double kFloat = 2e-3;
// Giant key biases. Keys of 16 to 64 are rounded by 0.0045 to 0.009 (root mean square); times queries of size
// 1.6 the scores move by about 0.01, and so do the weights of the values.
constexpr double kGiantKeys = 2e-2;
// Quantised weights, where the bundle rounds activations to 8 bits, a scale for 32 or 256 of them. The
// largest of 32 (256) normal numbers is about 2.2 (2.9) times their size, so what a matrix reads is off
// by 2.2 (2.9) / 127 / sqrt(12) = 0.005 (0.0066) of its size. Scores of size 2 to 3 are off by sqrt(2) times
// that share of them, 0.02, and move the attention weights as much; the values, o_proj and the three matrices
// of the feed-forward block add 0.005 (0.0066) each.
constexpr double kInt8 = 3e-2;

double quantised(int n_layers) {
  return std::string_view(active_kernel_table().name) == "generic" ? kFloat : n_layers * kInt8;
}

constexpr uint64_t kMaxBytes = 10'000'000;

struct Golden {
  explicit Golden(const std::filesystem::path& folder)
      : description(parse_json(read_file(folder / "golden.json", kMaxBytes), "golden.json")),
        values(read_file(folder / "golden.bin", kMaxBytes)),
        tokens(description.at("tokens").get<std::vector<int32_t>>()),
        positions(description.at("positions").get<std::vector<size_t>>()) {}

  // Difference of `got` [all tokens, width] from a stage's values, and their size, root mean square.
  std::pair<double, double> compare(const std::string& stage, int layer, std::span<const float> got) const {
    for (const Json& section : description.at("sections")) {
      if (section.at("stage") != stage || section.at("layer") != layer) continue;
      const auto width = section.at("width").get<size_t>(), offset = section.at("offset").get<size_t>();
      REQUIRE(got.size() == tokens.size() * width);
      double difference = 0, size = 0;
      for (size_t i = 0; i < positions.size() * width; ++i) {
        float expected;
        std::memcpy(&expected, values.data() + offset + i * sizeof(float), sizeof(float));
        const double d = double{got[positions[i / width] * width + i % width]} - double{expected};
        difference += d * d;
        size += double{expected} * double{expected};
      }
      const auto n = static_cast<double>(positions.size() * width);
      return {std::sqrt(difference / n), std::sqrt(size / n)};
    }
    FAIL("no values of " << stage << " at layer " << layer);
    return {};
  }

  Json description;
  std::string values;
  std::vector<int32_t> tokens;
  std::vector<size_t> positions;
};

void compare_with_reference(const std::string& name, const char* file, double tolerance) {
  const auto folder = std::filesystem::path(LECTERN_SOURCE_DIR) / "tests/golden" / name;
  const Golden golden(folder);
  const auto backend =
      make_cpu_backend(ModelFile::open(folder / file), {.n_threads = 1, .kv_tokens = 256}, {});
  size_t n_compared = 0;
  const auto check = [&](const std::string& stage, int layer, std::span<const float> values) {
    const auto [difference, size] = golden.compare(stage, layer, values);
    INFO(name << "/" << file << ", " << stage << " of layer " << layer);
    // The embedding is the file's numbers as they are.
    CHECK(difference <= (stage == "embed" ? 1e-7 : tolerance) * size);
    ++n_compared;
  };
  backend->set_tap([&](std::string_view stage, int layer, std::span<const float> values, int) {
    check(std::string(stage), layer, values);
  });
  const auto logits = test::run_all(*backend, golden.tokens);
  check("logits", backend->config().num_hidden_layers, logits);
  CHECK(n_compared == golden.description.at("sections").size());
}

}  // namespace

TEST_CASE("Dense Qwen2 equals the reference layer by layer") {
  SECTION("tied, F32") {
    compare_with_reference("qwen2_tied", "model.gguf", kFloat);
  }
  SECTION("tied, F32, as a folder") {
    compare_with_reference("qwen2_tied", "folder", kFloat);
  }
  SECTION("groups of 7, giant key biases, F16") {
    compare_with_reference("qwen2_untied", "model.gguf", kGiantKeys);
  }
  SECTION("YaRN, BF16") {
    compare_with_reference("qwen2_yarn", "model.gguf", kFloat);
  }
  SECTION("blocks of 32") {
    compare_with_reference("qwen2_legacy_quants", "model.gguf", quantised(1));
  }
  SECTION("super-blocks") {
    compare_with_reference("qwen2_k_quants", "model.gguf", quantised(1));
  }
}

TEST_CASE("Qwen2-MoE equals the reference layer by layer") {
  SECTION("shared expert, BF16") {
    compare_with_reference("qwen2moe_shared", "model.gguf", kFloat);
  }
  SECTION("shared expert, as a folder") {
    compare_with_reference("qwen2moe_shared", "folder", kFloat);
  }
  SECTION("no shared expert, tied, Q8_0") {
    compare_with_reference("qwen2moe_tied", "model.gguf", quantised(2));
  }
}
