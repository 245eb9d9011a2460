#include "engine/e4m3_simulation.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/e4m3.h"
#include "kernels/reference/dequantize.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;

namespace {

const BackendOptions kOptions{.n_threads = 1, .kv_tokens = 256};

std::vector<float> values_of(const Matrix& m) {
  std::vector<float> values(static_cast<size_t>(m.rows) * static_cast<size_t>(m.cols));
  dequantize(m.dtype, m.data.data(), static_cast<int64_t>(values.size()), values.data());
  return values;
}

// Root mean square of the difference as a share of that of the expected values.
double relative_difference(const std::vector<float>& got, const std::vector<float>& expected) {
  REQUIRE(got.size() == expected.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += std::pow(got[i] - expected[i], 2);
    size += std::pow(expected[i], 2);
  }
  return std::sqrt(difference / size);
}

std::vector<float> logits_of(const std::shared_ptr<const ModelFile>& model, E4m3Simulation simulation) {
  return run_all(*make_e4m3_simulation(model, simulation, kOptions, {}), some_tokens(40));
}

void check_rounded(const Matrix& got, const Matrix& source) {
  INFO(source.name);
  REQUIRE(got.dtype == DType::kF32);
  const auto values = values_of(got), expected = values_of(source);
  const auto cols = static_cast<size_t>(source.cols);
  int n_changed = 0;
  for (size_t row = 0; row < static_cast<size_t>(source.rows); ++row) {
    float most = 0;
    for (size_t c = 0; c < cols; ++c) most = std::max(most, std::abs(expected[row * cols + c]));
    const float scale = e4m3_scale(most);
    for (size_t c = 0; c < cols; ++c) {
      const float x = expected[row * cols + c];
      n_changed += values[row * cols + c] != x ? 1 : 0;
      if (values[row * cols + c] != scale * e4m3_to_float(float_to_e4m3(x / scale)))
        FAIL("row " << row << ", column " << c);
    }
  }
  CHECK(n_changed > source.rows);
}

}  // namespace

TEST_CASE("an expanded model has the numbers of the file") {
  const auto model = make_tiny_model(tiny_config(), DType::kQ8_0);
  const auto expanded = expanded_model(model, false);
  const LayerWeights &got = expanded->weights().layers[1], &source = model->weights().layers[1];
  CHECK(values_of(got.q_proj) == values_of(source.q_proj));
  CHECK(values_of(got.mlp.down_proj) == values_of(source.mlp.down_proj));
  CHECK(got.q_proj.dtype == DType::kF32);
  CHECK(expanded->weights().lm_head.dtype == DType::kQ8_0);
}

TEST_CASE("the matrices of all layers are rounded row by row and no others are") {
  const auto model = make_tiny_model(tiny_moe_config(), DType::kQ8_0);
  const auto rounded = expanded_model(model, true);
  for (size_t l = 0; l < model->weights().layers.size(); ++l) {
    const LayerWeights &got = rounded->weights().layers[l], &source = model->weights().layers[l];
    check_rounded(got.k_proj, source.k_proj);
    check_rounded(got.o_proj, source.o_proj);
    check_rounded(got.moe.experts[5].gate_proj, source.moe.experts[5].gate_proj);
    check_rounded(got.moe.shared_expert.down_proj, source.moe.shared_expert.down_proj);
    CHECK(got.moe.router.data.data() == source.moe.router.data.data());
    CHECK(got.q_bias == source.q_bias);
  }
  CHECK(rounded->weights().lm_head.data.data() == model->weights().lm_head.data.data());
}

TEST_CASE("rounding costs what a mantissa of three bits costs and rounding the activations more") {
  const auto model = make_tiny_model(tiny_config(), DType::kQ8_0);
  const auto plain = logits_of(model, E4m3Simulation::kNone);
  const double weights = relative_difference(logits_of(model, E4m3Simulation::kWeights), plain);
  const double both = relative_difference(logits_of(model, E4m3Simulation::kWeightsAndActivations), plain);
  // Numbers are off by up to 1/16, by a share of 0.026 on average, and so is a product of random ones; twelve
  // products one after the other make 0.09 of it.
  CHECK(weights > 0.03);
  CHECK(weights < 0.2);
  CHECK(both > weights);
  CHECK(both < 0.3);
}
