// Long prompts read by columns and diagonals, through the whole backend.
#include <cmath>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;

namespace {

std::shared_ptr<const ModelFile> model_with_budgets(bool dual, VerticalSlashBudget budget) {
  Qwen2Config config = tiny_config();
  if (dual) config.dual_chunk_attention = DualChunkAttention{192, 64, 0};
  config.sparse_attention.assign(
      static_cast<size_t>(config.num_hidden_layers),
      std::vector<VerticalSlashBudget>(static_cast<size_t>(config.num_attention_heads), budget));
  return make_tiny_model(config);
}

std::vector<float> logits_of(const std::shared_ptr<const ModelFile>& model, const SparsePrefill& sparse,
                             KvType kv_type = KvType::kF16, int n_threads = 2,
                             std::vector<SparseReading>* readings = nullptr) {
  const auto backend = make_cpu_backend(
      model, {.n_threads = n_threads, .kv_tokens = 1024, .kv_type = kv_type, .sparse_prefill = sparse}, {});
  if (readings != nullptr)
    backend->set_sparse_tap([&](const SparseReading& reading) { readings->push_back(reading); });
  return run_all(*backend, some_tokens(1000));
}

}  // namespace

TEST_CASE("vertical-slash: budgets that keep everything are dense prefill bit for bit") {
  const bool dual = GENERATE(false, true);
  const KvType kv_type = GENERATE(KvType::kF16, KvType::kInt8);
  const auto dense = logits_of(model_with_budgets(dual, {}), {.above_tokens = 2000}, kv_type);
  const auto is_dense = [&](VerticalSlashBudget budget) {
    std::vector<SparseReading> readings;
    const bool same =
        logits_of(model_with_budgets(dual, budget), {.above_tokens = 0}, kv_type, 2, &readings) == dense;
    CHECK(!readings.empty());
    for (const SparseReading& reading : readings) CHECK(reading.read == 1);
    return same;
  };
  CHECK(is_dense({1, 1000}));
  CHECK(is_dense({1000, 1}));
}

TEST_CASE("vertical-slash: small budgets read less and what is lost is noticed") {
  const bool dual = GENERATE(false, true);
  const auto model = model_with_budgets(dual, {60, 100});
  const auto dense = logits_of(model, {.above_tokens = 2000});
  const auto mean_difference = [&](float least_recall, std::vector<SparseReading>& readings) {
    const auto sparse =
        logits_of(model, {.above_tokens = 0, .least_recall = least_recall}, KvType::kF16, 2, &readings);
    double sum = 0;
    for (size_t i = 0; i < dense.size(); ++i) sum += std::abs(double{sparse[i]} - double{dense[i]});
    return sum / static_cast<double>(dense.size());
  };
  std::vector<SparseReading> readings, noticed;
  CHECK(mean_difference(0.0f, readings) > 0.01);
  REQUIRE(readings.size() == noticed.size() + 3 * 2 * 2);  // layers, KV heads, pieces
  double recall = 0, read = 0;
  for (const SparseReading& reading : readings) {
    CHECK(reading.recall <= 1 + 1e-5);
    recall += reading.recall / 12;
    read += reading.read / 12;
  }
  INFO("recall " << recall << " read " << read);
  CHECK(recall < 0.95);
  CHECK(recall > read / 2);
  CHECK(read < 0.95);
  CHECK(mean_difference(1.0f, noticed) < 0.01);
  for (const SparseReading& reading : noticed) CHECK((reading.recall >= 1 || reading.read == 1));
  const auto with_threads = [&](int n) {
    return logits_of(model, {.above_tokens = 0, .least_recall = 0}, KvType::kF16, n);
  };
  const bool threads_are_equal = with_threads(1) == with_threads(3);
  CHECK(threads_are_equal);
}

TEST_CASE("vertical-slash: the selector can be left out and is part of how results are rounded") {
  const auto model = model_with_budgets(false, {60, 100}), other = model_with_budgets(false, {60, 101});
  const auto plain = make_tiny_model(tiny_config());
  const SparsePrefill by_means = {
      .above_tokens = 0, .threshold = 1.0f, .least_recall = 0, .vertical_slash = false};
  const bool left_out = logits_of(model, by_means) == logits_of(plain, by_means);
  CHECK(left_out);
  const auto numerics_of = [](const std::shared_ptr<const ModelFile>& of, const SparsePrefill& sparse) {
    return make_cpu_backend(of, {.n_threads = 1, .kv_tokens = 128, .sparse_prefill = sparse}, {})->numerics();
  };
  CHECK(numerics_of(model, by_means) == numerics_of(plain, by_means));
  CHECK_THAT(numerics_of(plain, {.above_tokens = 0}), Catch::Contains("page-means"));
  CHECK_THAT(numerics_of(model, {.above_tokens = 0}), Catch::Contains("vertical-slash"));
  CHECK(numerics_of(model, {.above_tokens = 0}) != numerics_of(other, {.above_tokens = 0}));
  CHECK(numerics_of(model, {}) == numerics_of(plain, {}));  // the context is shorter than 32,768
}
