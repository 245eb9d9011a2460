#include "engine/key_smoothing.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "engine/backend.h"
#include "engine/kv_layout.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;

namespace {

// Of three layers, the one in the middle keeps K in bytes.
LayerWeights& middle_layer(const ModelFile& model) {
  return const_cast<Weights&>(model.weights()).layers[1];
}

// Of the layer in the middle, with K in bytes whatever its biases are.
KeySmoothing smoothing_of(const ModelFile& model) {
  return key_smoothing(model, std::vector<KvLayerTypes>(3, {KvType::kInt8, KvType::kInt8}))[1];
}

}  // namespace

TEST_CASE("Keys are smoothed where they are kept as bytes and nowhere else") {
  const auto model = make_tiny_model(tiny_config());
  const auto of_cache = [&](KvType type) {
    return key_smoothing(*model, kv_layer_types(model->config(), type));
  };
  const auto bytes = of_cache(KvType::kInt8);
  REQUIRE(bytes.size() == 3);
  CHECK(bytes[0].k.empty());
  CHECK(bytes[1].k.size() == static_cast<size_t>(tiny_config().kv_size()));
  CHECK(bytes[1].q.size() == static_cast<size_t>(tiny_config().q_size()));
  CHECK(bytes[2].q.empty());
  for (const KeySmoothing& layer : of_cache(KvType::kF16)) CHECK((layer.k.empty() && layer.q.empty()));
}

TEST_CASE("Scales of keys leave every product of query and key as it was") {
  const auto model = make_tiny_model(tiny_config(), GENERATE(DType::kF32, DType::kQ8_0));
  for (float& bias : middle_layer(*model).k_bias) bias *= 5;
  const KeySmoothing smoothing = smoothing_of(*model);
  const auto d = static_cast<size_t>(tiny_config().head_dim);
  const auto group = static_cast<size_t>(tiny_config().group_size());
  for (size_t i = 0; i < smoothing.k.size(); ++i) {
    const float scale = smoothing.k[i];
    int exponent = 0;
    CHECK(std::frexp(scale, &exponent) == 0.5f);                   // a power of two
    CHECK(scale == smoothing.k[i / d * d + (i % d + d / 2) % d]);  // the other channel of the pair
    for (size_t head = i / d * group; head < (i / d + 1) * group; ++head)
      CHECK(smoothing.q[head * d + i % d] * scale == 1);
  }
}

TEST_CASE("Large channels of keys are made smaller by the root of what sets them apart") {
  const auto model = make_tiny_model(tiny_config());
  Vector& bias = middle_layer(*model).k_bias;
  std::fill(bias.begin(), bias.end(), 0.0f);
  const float before = smoothing_of(*model).k[3];
  bias[3] = -4096;
  const Vector after = smoothing_of(*model).k;
  CHECK(after[3] == 1.0f / 64);
  CHECK(after[3 + static_cast<size_t>(tiny_config().head_dim) / 2] == 1.0f / 64);
  CHECK(before > 16 * after[3]);
  CHECK(after[4] == smoothing_of(*model).k[4]);
}

TEST_CASE("Scales of keys stay finite whatever the weights are") {
  const auto model = make_tiny_model(tiny_config());
  LayerWeights& layer = middle_layer(*model);
  SECTION("not a number") {
    layer.k_bias[0] = std::numeric_limits<float>::quiet_NaN();
  }
  SECTION("infinite") {
    layer.k_bias[0] = -std::numeric_limits<float>::infinity();
  }
  SECTION("huge") {
    layer.k_bias[0] = std::numeric_limits<float>::max();
  }
  SECTION("nothing at all") {
    std::fill(layer.k_bias.begin(), layer.k_bias.end(), 0.0f);
    std::fill(layer.input_layernorm.begin(), layer.input_layernorm.end(), 0.0f);
  }
  const KeySmoothing smoothing = smoothing_of(*model);
  for (const Vector* scales : {&smoothing.k, &smoothing.q})
    CHECK(std::all_of(scales->begin(), scales->end(),
                      [](float scale) { return scale >= 1.0f / 256 && scale <= 256; }));
}

TEST_CASE("Keys of another shape than the config's are refused") {
  const auto model = make_tiny_model(tiny_config());
  SECTION("matrix") {
    middle_layer(*model).k_proj.rows -= 1;
  }
  SECTION("bias") {
    middle_layer(*model).k_bias.pop_back();
  }
  CHECK_THROWS_AS(smoothing_of(*model), Error);
}

TEST_CASE("A cache of bytes is nearer to one of halves where large channels of keys are smoothed") {
  const auto model = make_tiny_model(tiny_config());
  // One pair of channels of each head that says little and is large, as in Qwen2.
  Vector& bias = middle_layer(*model).k_bias;
  const auto d = static_cast<size_t>(tiny_config().head_dim);
  for (size_t head = 0; head < bias.size(); head += d) bias[head + d / 2 - 1] = 1000;
  const auto tokens = some_tokens(200);
  const auto logits_of = [&](KvType type) {
    return run_all(*make_cpu_backend(model, {.n_threads = 2, .kv_tokens = 256, .kv_type = type}, {}), tokens);
  };
  const auto halves = logits_of(KvType::kF16), bytes = logits_of(KvType::kInt8);
  double sum = 0;
  for (size_t i = 0; i < halves.size(); ++i) sum += std::abs(double{bytes[i]} - halves[i]);
  CHECK(sum / static_cast<double>(halves.size()) < 0.16);  // 0.26 without
}
