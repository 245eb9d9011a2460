#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "engine/cuda_backend.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/cuda/device_buffer.h"

using namespace lectern;
using namespace lectern::test;

namespace {

struct Setup {
  int chunk = 512;
  KvType kv_type = KvType::kF16;
  SparsePrefill sparse = {};
  bool fp8 = false;
};

std::unique_ptr<Backend> backend_of(std::shared_ptr<const ModelFile> model, const Setup& setup = {}) {
  return make_cuda_backend(std::move(model), 0,
                           {.kv_tokens = 1024,
                            .prefill_chunk_tokens = setup.chunk,
                            .kv_type = setup.kv_type,
                            .sparse_prefill = setup.sparse,
                            .fp8 = setup.fp8},
                           {});
}

// Root mean square of the difference as a share of that of the expected values.
template <typename Expected>
double relative_difference(std::span<const float> got, const Expected& expected) {
  double difference = 0, size = 0;
  size_t i = 0;
  for (const auto& row : expected) {
    for (const double value : row) {
      difference += std::pow(got[i++] - value, 2);
      size += value * value;
    }
  }
  REQUIRE(i == got.size());
  return std::sqrt(difference / size);
}

double relative_difference(const std::vector<float>& got, const std::vector<float>& expected) {
  return relative_difference(got, std::vector<std::vector<float>>{expected});
}

// bfloat16 has 8 bits: what each product reads is off by up to 2^-9 of its size, at random, and three layers
// add up what two products each make of that.
constexpr double kTolerance = 0.015;
// The weights of experts are exponentials of such a product.
constexpr double kToleranceExperts = 0.04;
// A step of a byte is 2^-7 of the largest number of its head.
constexpr double kToleranceInt8 = 0.03;

void compare_with_reference(const Qwen2Config& config, int n_tokens, const Setup& setup = {},
                            DType dtype = DType::kF32) {
  const double tolerance = setup.kv_type == KvType::kInt8                   ? kToleranceInt8
                           : config.architecture == Architecture::kQwen2Moe ? kToleranceExperts
                                                                            : kTolerance;
  const auto model = make_tiny_model(config, dtype);
  const auto tokens = some_tokens(n_tokens);
  const ReferencePass expected = reference_forward(*model, tokens, setup.kv_type);
  const auto backend = backend_of(model, setup);
  int n_stages = 0;
  backend->set_tap([&](std::string_view stage, int layer, std::span<const float> values, int n) {
    if (n != n_tokens) return;  // cut into pieces: the logits below tell
    const auto l = static_cast<size_t>(layer);
    const Rows& rows = stage == "embed"       ? expected.embed
                       : stage == "attention" ? expected.attention[l]
                       : stage == "output"    ? expected.output[l]
                                              : expected.norm;
    INFO(stage << " of layer " << layer);
    CHECK(relative_difference(values, rows) < tolerance);
    ++n_stages;
  });
  const auto logits = run_all(*backend, tokens);
  if (setup.chunk >= n_tokens && n_tokens <= 128) CHECK(n_stages == 2 + 2 * config.num_hidden_layers);
  CHECK(relative_difference(logits, expected.logits) < tolerance);
}

Qwen2Config config_with_heads_of(int head_dim) {
  Qwen2Config config = tiny_config();
  config.head_dim = head_dim;
  return config;
}

Qwen2Config dual_chunk_config(int original_max_position_embeddings) {
  Qwen2Config config = tiny_config();
  config.dual_chunk_attention = DualChunkAttention{192, 64, original_max_position_embeddings};
  return config;
}

}  // namespace

TEST_CASE("CudaBackend equals the equations layer by layer") {
  LECTERN_NEEDS_DEVICE();
  const int n_tokens = GENERATE(5, 120);
  Qwen2Config config = tiny_config();
  SECTION("untied, groups of 2") {}
  SECTION("tied") {
    config.tie_word_embeddings = true;
  }
  SECTION("groups of 7, as in the 0.5B model") {
    config.num_attention_heads = 7;
    config.num_key_value_heads = 1;
  }
  SECTION("odd widths") {
    config.intermediate_size = 72;
    config.vocab_size = 269;
  }
  SECTION("heads of 64") {
    config = config_with_heads_of(64);
  }
  SECTION("heads of 128") {
    config = config_with_heads_of(128);
  }
  SECTION("mixture of experts") {
    config = tiny_moe_config();
  }
  SECTION("mixture of experts, renormalised, without a shared one") {
    config = tiny_moe_config();
    config.norm_topk_prob = true;
    config.shared_expert_intermediate_size = 0;
  }
  compare_with_reference(config, n_tokens);
}

TEST_CASE("CudaBackend equals the equations beyond a page and in pieces") {
  LECTERN_NEEDS_DEVICE();
  const int chunk = GENERATE(512, 50, 129);
  compare_with_reference(tiny_config(), kKvPageTokens + 20, {.chunk = chunk});
  compare_with_reference(config_with_heads_of(64), kKvPageTokens + 20, {.chunk = chunk});
}

TEST_CASE("CudaBackend with a cache of bytes equals the equations with K and V rounded so") {
  LECTERN_NEEDS_DEVICE();
  compare_with_reference(config_with_heads_of(GENERATE(16, 64)), kKvPageTokens + 20,
                         {.kv_type = KvType::kInt8});
}

TEST_CASE("CudaBackend reads quantised weights as the equations do") {
  LECTERN_NEEDS_DEVICE();
  const DType dtype = GENERATE(DType::kQ8_0, DType::kBF16, DType::kF16);
  for (const int n : {3, 20, 60}) compare_with_reference(tiny_config(), n, {}, dtype);
}

TEST_CASE("CudaBackend in 8-bit floats is near the equations") {
  LECTERN_NEEDS_DEVICE();
  const auto model = make_tiny_model(tiny_config());
  const auto tokens = some_tokens(60);
  const ReferencePass expected = reference_forward(*model, tokens);
  const auto rounded = run_all(*backend_of(model, {.fp8 = true}), tokens);
  // Three bits behind the point: 2^-4 of each number at most, some 4 % at random, in both operands of 21
  // products.
  const double difference = relative_difference(rounded, expected.logits);
  CHECK(difference < 0.25);
  CHECK(difference > kTolerance);
  CHECK(backend_of(model, {.fp8 = true})->numerics() != backend_of(model)->numerics());
}

TEST_CASE("CudaBackend with Dual Chunk Attention equals the equations over all its borders") {
  LECTERN_NEEDS_DEVICE();
  const int original_max_position_embeddings = GENERATE(0, 160);
  const auto model = make_tiny_model(dual_chunk_config(original_max_position_embeddings));
  const auto tokens = some_tokens(3 * 128 + 70);
  const ReferencePass expected = reference_forward(*model, tokens);
  for (const int chunk : {512, 100}) {
    const auto backend = backend_of(model, {.chunk = chunk});
    CHECK(relative_difference(run_all(*backend, tokens), expected.logits) < kTolerance);
  }
}

TEST_CASE("CudaBackend decodes as it reads, also when its passes are played back as graphs") {
  LECTERN_NEEDS_DEVICE();
  const Qwen2Config config = GENERATE(tiny_config(), dual_chunk_config(0), tiny_moe_config());
  const auto model = make_tiny_model(config);
  const auto tokens = some_tokens(140);
  const ReferencePass expected = reference_forward(*model, tokens);
  const auto backend = backend_of(model);
  KvSequence sequence(backend->kv_pages());
  run(*backend, sequence, std::span(tokens).first(120), 0);
  for (size_t t = 120; t < tokens.size(); ++t) {
    INFO(t);
    const auto logits = run(*backend, sequence, std::span(tokens).subspan(t, 1), 1);
    CHECK(relative_difference(logits, Rows{expected.logits[t]}) < 2 * kTolerance);
  }
}

TEST_CASE("CudaBackend gives a sequence the same logits in any batch but for rounding") {
  LECTERN_NEEDS_DEVICE();
  const auto backend =
      backend_of(make_tiny_model(GENERATE(tiny_config(), tiny_moe_config())), {.chunk = 100});
  const auto sequences = some_sequences();
  const auto expected = run_alone(*backend, sequences);
  CHECK(relative_difference(run_together(*backend, sequences), expected) < kTolerance);
}

TEST_CASE("CudaBackend decodes sequences of other lengths together, again and again") {
  LECTERN_NEEDS_DEVICE();
  const auto model = make_tiny_model(tiny_config());
  const auto backend = backend_of(model);
  const auto tokens = some_tokens(260);
  const ReferencePass expected = reference_forward(*model, tokens);
  std::vector<KvSequence> sequences;
  const size_t starts[] = {3, 125, 240};
  for (const size_t start : starts) {
    sequences.emplace_back(backend->kv_pages());
    run(*backend, sequences.back(), std::span(tokens).first(start), 0);
  }
  for (size_t step = 0; step < 6; ++step) {
    std::vector<SequenceSlice> slices;
    for (size_t s = 0; s < sequences.size(); ++s) {
      sequences[s].reserve(1);
      slices.push_back(
          {std::span(tokens).subspan(starts[s] + step, 1), sequences[s].length(), sequences[s].pages(), 1});
    }
    std::vector<float> logits;
    backend->forward({slices, {}}, logits, CancelToken());
    Rows rows;
    for (size_t s = 0; s < sequences.size(); ++s) {
      rows.push_back(expected.logits[starts[s] + step]);
      sequences[s].advance(1);
    }
    CHECK(relative_difference(logits, rows) < 2 * kTolerance);
  }
}

TEST_CASE("CudaBackend computes label rows as the whole head does") {
  LECTERN_NEEDS_DEVICE();
  const auto backend = backend_of(make_tiny_model(tiny_config()));
  const auto tokens = some_tokens(20);
  const auto all = run_all(*backend, tokens);
  const std::vector<int32_t> labels = {268, 0, 17, 16, 17, 100};
  for (int repeat = 0; repeat < 3; ++repeat) {
    KvSequence sequence(backend->kv_pages());
    const auto rows = run(*backend, sequence, tokens, 3, labels);
    REQUIRE(rows.size() == 3 * labels.size());
    const auto v = all.size() / tokens.size();
    for (size_t t = 0; t < 3; ++t)
      for (size_t i = 0; i < labels.size(); ++i)
        CHECK(rows[t * labels.size() + i] ==
              Approx(all[(17 + t) * v + static_cast<size_t>(labels[i])]).margin(0.05));
  }
}

TEST_CASE("CudaBackend has room for as many rows as there are pages, and for labels that repeat") {
  LECTERN_NEEDS_DEVICE();
  const auto backend = make_cuda_backend(make_tiny_model(tiny_config()), 0, {.kv_tokens = 128}, {});
  const auto tokens = some_tokens(100);
  std::vector<int32_t> labels(700);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(i % 7);
  std::vector<KvSequence> sequences;
  std::vector<SequenceSlice> slices;
  for (int i = 0; i < 9; ++i) {
    sequences.emplace_back(backend->kv_pages()).reserve(100);
    slices.push_back({tokens, 0, sequences.back().pages(), 60});
  }
  std::vector<float> logits;
  backend->forward({slices, labels}, logits, CancelToken());
  REQUIRE(logits.size() == 9 * 60 * labels.size());
  const std::vector<float> first(logits.begin(), logits.begin() + 7);
  for (size_t row = 0; row < 9; ++row)
    for (size_t i = 0; i < labels.size(); ++i)
      CHECK(logits[row * 60 * labels.size() + i] == Approx(first[i % 7]).margin(0.05));
}

TEST_CASE("CudaBackend: sparse prefill that keeps every page is dense and with fewer it is not") {
  LECTERN_NEEDS_DEVICE();
  const auto model = make_tiny_model(dual_chunk_config(0));
  const auto tokens = some_tokens(1000);
  const auto logits_of = [&](const SparsePrefill& sparse, std::vector<SparseReading>* readings = nullptr) {
    const auto backend = backend_of(model, {.sparse = sparse});
    if (readings != nullptr)
      backend->set_sparse_tap([readings](const SparseReading& reading) { readings->push_back(reading); });
    return run_last(*backend, tokens);
  };
  const auto dense = logits_of({});
  CHECK(logits_of({.above_tokens = 0, .threshold = 0.0f}) == dense);
  std::vector<SparseReading> readings;
  const auto unnoticed = logits_of({.above_tokens = 0, .threshold = 1.0f, .least_recall = 0.0f}, &readings);
  CHECK(unnoticed != dense);
  REQUIRE(!readings.empty());
  for (const SparseReading& reading : readings) {
    CHECK(reading.recall > 0.1);
    CHECK(reading.recall < 1.001);
    CHECK(reading.read > 0.3);
    CHECK(reading.read <= 1.0);
  }
  CHECK(std::any_of(readings.begin(), readings.end(), [](const SparseReading& r) { return r.read < 0.999; }));
  // Where every loss is noticed, all is read.
  readings.clear();
  CHECK(logits_of({.above_tokens = 0, .threshold = 1.0f, .least_recall = 1.0f}, &readings).size() ==
        dense.size());
  for (const SparseReading& reading : readings)
    if (reading.recall < 0.9999) CHECK(reading.read == 1.0);
}

TEST_CASE("CudaBackend: sparse prefill by columns and diagonals") {
  LECTERN_NEEDS_DEVICE();
  const auto [dual, kv_type] = GENERATE(std::pair(false, KvType::kInt8), std::pair(true, KvType::kF16));
  const auto run = [&, dual = dual, kv_type = kv_type](VerticalSlashBudget budget, float least_recall,
                                                       std::vector<SparseReading>& readings) {
    Qwen2Config config = tiny_config();
    if (dual) config.dual_chunk_attention = DualChunkAttention{192, 64, 0};
    config.sparse_attention.assign(
        static_cast<size_t>(config.num_hidden_layers),
        std::vector<VerticalSlashBudget>(static_cast<size_t>(config.num_attention_heads), budget));
    const auto backend =
        backend_of(make_tiny_model(config),
                   {.kv_type = kv_type, .sparse = {.above_tokens = 0, .least_recall = least_recall}});
    backend->set_sparse_tap([&](const SparseReading& reading) { readings.push_back(reading); });
    return run_last(*backend, some_tokens(700));
  };
  std::vector<SparseReading> all, few, fallen;
  const auto dense = run({1, 1000}, 0.0f, all);
  CHECK(run({1000, 1}, 0.0f, all) == dense);
  for (const SparseReading& reading : all) CHECK(reading.read == 1.0);
  // What is lost can be noticed, and then all is read.
  CHECK(run({60, 100}, 1.0f, fallen) == dense);
  const auto sparse = run({60, 100}, 0.0f, few);
  CHECK(sparse != dense);
  REQUIRE(few.size() == fallen.size());
  for (const SparseReading& reading : few) {
    CHECK(reading.read < 0.99);
    CHECK(reading.recall > 0.3);
    CHECK(reading.recall < 0.99);
  }
}

TEST_CASE("CudaBackend: each head has its own budget of columns and diagonals") {
  LECTERN_NEEDS_DEVICE();
  Qwen2Config config = tiny_config();
  config.sparse_attention.assign(static_cast<size_t>(config.num_hidden_layers),
                                 std::vector<VerticalSlashBudget>(4, {30, 100}));
  config.sparse_attention[1][2] = {30, 1000};  // of KV head 1
  const auto backend =
      backend_of(make_tiny_model(config), {.sparse = {.above_tokens = 0, .least_recall = 0.0f}});
  std::vector<SparseReading> readings;
  backend->set_sparse_tap([&](const SparseReading& reading) { readings.push_back(reading); });
  run_last(*backend, some_tokens(700));
  CHECK(readings.size() >= 4);
  for (const SparseReading& reading : readings)
    CHECK((reading.read == 1.0) == (reading.layer == 1 && reading.kv_head == 1));
}

TEST_CASE("CudaBackend copies, exports and imports pages") {
  LECTERN_NEEDS_DEVICE();
  const KvType kv_type = GENERATE(KvType::kF16, KvType::kInt8);
  const auto model = make_tiny_model(tiny_config());
  const auto from = backend_of(model, {.kv_type = kv_type}), to = backend_of(model, {.kv_type = kv_type});
  const auto tokens = some_tokens(60);
  for (const int n : {1, 33, 59}) {
    KvSequence sequence(from->kv_pages()), imported(to->kv_pages()), copied(from->kv_pages());
    run(*from, sequence, std::span(tokens).first(59), 0);
    std::vector<std::byte> page(static_cast<size_t>(n * from->kv_bytes_per_token()) + 8, std::byte{0x5a});
    from->export_kv(sequence.pages()[0], n, page.data());
    CHECK(std::all_of(page.end() - 8, page.end(), [](std::byte b) { return b == std::byte{0x5a}; }));
    imported.reserve(n);
    to->import_kv(imported.pages()[0], n, page.data());
    imported.advance(n);
    copied.reserve(n);
    from->copy_kv(sequence.pages()[0], copied.pages()[0], n);
    copied.advance(n);
    const auto rest = std::span(tokens).subspan(static_cast<size_t>(n));
    const auto expected = run_last(*from, tokens);
    CHECK(relative_difference(run(*to, imported, rest, 1), expected) < 2 * kTolerance);
    CHECK(relative_difference(run(*from, copied, rest, 1), expected) < 2 * kTolerance);
  }
}

TEST_CASE("CudaBackend refuses what makes no sense") {
  LECTERN_NEEDS_DEVICE();
  const auto backend = backend_of(make_tiny_model(tiny_config()));
  CHECK(backend->describe().find("CUDA") == 0);
  CHECK(backend->numerics().find("cuda") == 0);
  KvSequence sequence(backend->kv_pages());
  sequence.reserve(10);
  const std::vector<int32_t> beyond = {1, 272};
  const SequenceSlice slice[] = {{beyond, 0, sequence.pages(), 1}};
  std::vector<float> logits;
  CHECK_THROWS_WITH(backend->forward({slice, {}}, logits, CancelToken()), Catch::Contains("272"));
  CHECK_THROWS_WITH(make_cuda_backend(make_tiny_model(tiny_config()), 99, {}, {}),
                    Catch::Contains("device 99"));
  CHECK_THROWS_AS(make_cuda_backend(make_tiny_model(tiny_config()), 0, {.kv_tokens = -1}, {}), Error);
  CHECK_THROWS_WITH(backend_of(make_tiny_model(config_with_heads_of(12))), Catch::Contains("heads of 12"));
  const auto model = make_tiny_model(tiny_config());
  const_cast<Weights&>(model->weights()).layers[1].o_proj.rows = 63;
  CHECK_THROWS_WITH(backend_of(model), Catch::Contains("tensor o is [63, 64]"));
}

TEST_CASE("CudaBackend says that a model gives no finite numbers") {
  LECTERN_NEEDS_DEVICE();
  const auto model = make_tiny_model(tiny_config());
  const_cast<Weights&>(model->weights()).layers[1].input_layernorm[3] =
      std::numeric_limits<float>::quiet_NaN();
  const auto backend = backend_of(model);
  CHECK_THROWS_WITH(run_last(*backend, some_tokens(10)), Catch::Contains("not finite"));
  KvSequence sequence(backend->kv_pages());
  CHECK_THROWS_AS(run(*backend, sequence, some_tokens(10), 0), Error);
}

TEST_CASE("cuda_devices lists the device that is there") {
  LECTERN_NEEDS_DEVICE();
  const auto devices = cuda_devices();
  REQUIRE(!devices.empty());
  CHECK(devices[0].memory_bytes > 0);
  CHECK(devices[0].major >= 8);
}

#ifdef LECTERN_CUDA_EMULATION
TEST_CASE("CudaBackend says what does not fit into the device's memory, and makes do with less") {
  const auto model = make_tiny_model(tiny_config());
  const auto error_with = [&](size_t bytes, int64_t kv_tokens) -> std::string {
    emulate_device_memory(bytes);
    std::string message;
    try {
      const auto backend = make_cuda_backend(model, 0, {.kv_tokens = kv_tokens}, {});
      CHECK(run_last(*backend, some_tokens(100)).size() == 272);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kResourceExhausted);
      message = error.what();
    }
    emulate_device_memory(size_t{1} << 30);
    return message;
  };
  constexpr size_t kWorkspace = size_t{32} << 20;
  CHECK(error_with(kWorkspace / 2, 1024).find("workspace") != std::string::npos);
  CHECK(error_with(kWorkspace + 1000, 1024).find("the weights of") != std::string::npos);
  CHECK(error_with(kWorkspace + (size_t{16} << 20), 1'000'000).find("a KV cache of 1000064 tokens needs") !=
        std::string::npos);
  CHECK(error_with(kWorkspace + (size_t{16} << 20), 1024).empty());
  CHECK(error_with(kWorkspace + (size_t{16} << 20), 0).empty());
}
#endif
