#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "base/error.h"
#include "engine/backend.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;

namespace {

std::unique_ptr<Backend> backend_of(std::shared_ptr<const ModelFile> model, int chunk = 512, int threads = 2,
                                    KvType kv_type = KvType::kF16) {
  return make_cpu_backend(
      std::move(model),
      {.n_threads = threads, .kv_tokens = 1024, .prefill_chunk_tokens = chunk, .kv_type = kv_type}, {});
}

double largest_difference(std::span<const float> got, const Rows& expected) {
  double largest = 0;
  size_t i = 0;
  for (const auto& row : expected) {
    for (const double value : row) largest = std::max(largest, std::abs(got[i++] - value));
  }
  REQUIRE(i == got.size());
  return largest;
}

// Float sums of a few hundred terms of size 1 are off by some 1e-6. A key or value that lies on a rounding
// border of half precision may round the other way than in the reference, which moves one of the head_dim
// terms of a score by 2^-11 of its size; later layers pass that on. Values here are of size 1 to 10.
constexpr double kTolerance = 2e-3;
// A step of a byte is 2^-7 of the largest number of its head, and more numbers lie on a border of rounding.
constexpr double kToleranceInt8 = 3e-2;

void compare_with_reference(const Qwen2Config& config, KvType kv_type = KvType::kF16) {
  const double tolerance = kv_type == KvType::kInt8 ? kToleranceInt8 : kTolerance;
  const auto model = make_tiny_model(config);
  const auto tokens = some_tokens(kKvPageTokens + 20);
  const ReferencePass expected = reference_forward(*model, tokens, kv_type);
  const auto backend = backend_of(model, 512, 2, kv_type);
  int n_stages = 0;
  backend->set_tap([&](std::string_view stage, int layer, std::span<const float> values, int n_tokens) {
    CHECK(n_tokens == static_cast<int>(tokens.size()));
    const auto l = static_cast<size_t>(layer);
    const Rows& rows = stage == "embed"       ? expected.embed
                       : stage == "attention" ? expected.attention[l]
                       : stage == "output"    ? expected.output[l]
                                              : expected.norm;
    INFO(stage << " of layer " << layer);
    CHECK(largest_difference(values, rows) < tolerance);
    ++n_stages;
  });
  const auto logits = run_all(*backend, tokens);
  CHECK(n_stages == 2 + 2 * config.num_hidden_layers);
  CHECK(largest_difference(logits, expected.logits) < tolerance);
}

}  // namespace

TEST_CASE("CpuBackend equals the equations layer by layer") {
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
    config.intermediate_size = 75;
    config.vocab_size = 269;
  }
  SECTION("mixture of experts") {
    config = tiny_moe_config();
  }
  SECTION("mixture of experts, renormalised") {
    config = tiny_moe_config();
    config.norm_topk_prob = true;
  }
  SECTION("mixture of experts without a shared one") {
    config = tiny_moe_config();
    config.shared_expert_intermediate_size = 0;
  }
  compare_with_reference(config);
}

TEST_CASE("CpuBackend with a cache of bytes equals the equations with K and V rounded so") {
  Qwen2Config config = tiny_config();
  SECTION("groups of 2") {}
  SECTION("groups of 7") {
    config.num_attention_heads = 7;
    config.num_key_value_heads = 1;
  }
  SECTION("heads that no vector divides") {
    config.head_dim = 12;
  }
  SECTION("two layers: only V is rounded to bytes") {
    config.num_hidden_layers = 2;
  }
  compare_with_reference(config, KvType::kInt8);
}

namespace {

// Key chunks of 128 tokens.
Qwen2Config dual_chunk_config(int original_max_position_embeddings) {
  Qwen2Config config = tiny_config();
  config.dual_chunk_attention = DualChunkAttention{192, 64, original_max_position_embeddings};
  return config;
}

}  // namespace

TEST_CASE("CpuBackend with Dual Chunk Attention equals the equations over all its borders") {
  // Long enough for keys of the query's own chunk, of the one before, and of two older ones.
  const KvType kv_type = GENERATE(KvType::kF16, KvType::kInt8);
  const int original_max_position_embeddings = GENERATE(0, 160);
  const double tolerance = kv_type == KvType::kInt8 ? kToleranceInt8 : kTolerance;
  const auto model = make_tiny_model(dual_chunk_config(original_max_position_embeddings));
  const auto tokens = some_tokens(3 * 128 + 70);
  const ReferencePass expected = reference_forward(*model, tokens, kv_type);
  const auto backend = backend_of(model, 512, 2, kv_type);
  CHECK(largest_difference(run_all(*backend, tokens), expected.logits) < tolerance);
}

TEST_CASE("Dual Chunk Attention is the ordinary attention up to chunk_size and not beyond it") {
  const auto tokens = some_tokens(200);
  const auto plain = run_all(*backend_of(make_tiny_model(tiny_config())), tokens);
  const auto dual = run_all(*backend_of(make_tiny_model(dual_chunk_config(0))), tokens);
  const auto n = static_cast<size_t>(tiny_config().vocab_size);
  double before = 0, after = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    double& largest = i < 192 * n ? before : after;
    largest = std::max(largest, std::abs(double{plain[i]} - dual[i]));
  }
  CHECK(before < 5 * kTolerance);  // equal angles reached by other ways: keys round to other halves
  CHECK(after > 50 * kTolerance);
}

TEST_CASE("Dual Chunk Attention gives the same bits however a prompt is cut and token by token") {
  const auto model = make_tiny_model(dual_chunk_config(160));
  const auto tokens = some_tokens(3 * 128 + 10);
  const auto whole = run_all(*backend_of(model), tokens);
  for (const int chunk : {1, 50, 127, 128, 129}) CHECK(run_all(*backend_of(model, chunk), tokens) == whole);
}

TEST_CASE("Sparse prefill that keeps every page is dense prefill bit for bit and with fewer it is not") {
  const bool dual = GENERATE(false, true);
  const auto model = make_tiny_model(dual ? dual_chunk_config(0) : tiny_config());
  const auto tokens = some_tokens(1000);
  const auto logits_of = [&](const SparsePrefill& sparse) {
    const auto backend =
        make_cpu_backend(model, {.n_threads = 2, .kv_tokens = 1024, .sparse_prefill = sparse}, {});
    return run_all(*backend, tokens);
  };
  const auto dense = logits_of({});
  // Not compared inside CHECK, which would print them all.
  const auto is_dense = [&](const SparsePrefill& sparse) { return logits_of(sparse) == dense; };
  CHECK(is_dense({.above_tokens = 0, .threshold = 0.0f}));
  CHECK(is_dense({.above_tokens = 1000, .threshold = 1.0f, .least_recall = 0.0f}));
  // What is left out changes the result, less where it is noticed.
  const auto mean_difference = [&](float least_recall) {
    const auto sparse = logits_of({.above_tokens = 0, .threshold = 1.0f, .least_recall = least_recall});
    double sum = 0;
    for (size_t i = 0; i < dense.size(); ++i) sum += std::abs(double{sparse[i]} - double{dense[i]});
    return sum / static_cast<double>(dense.size());
  };
  const double unnoticed = mean_difference(0.0f), noticed = mean_difference(1.0f);
  INFO(unnoticed << " " << noticed);
  CHECK(unnoticed > 0.01);
  CHECK(noticed < 0.5 * unnoticed);
}

TEST_CASE("Sparse prefill is part of how results are rounded and refuses shares that are none") {
  const auto model = make_tiny_model(tiny_config());
  const auto numerics_of = [&](const SparsePrefill& sparse) {
    return make_cpu_backend(model, {.n_threads = 1, .kv_tokens = 128, .sparse_prefill = sparse}, {})
        ->numerics();
  };
  CHECK(numerics_of({}) == numerics_of({.threshold = 0.5f}));  // the context is shorter than that
  CHECK(numerics_of({.above_tokens = 100}) != numerics_of({}));
  CHECK_THROWS_WITH(numerics_of({.threshold = -1.0f}), Catch::Contains("threshold"));
  CHECK_THROWS_WITH(numerics_of({.least_recall = std::nanf("")}), Catch::Contains("recall"));
  CHECK_THROWS_WITH(numerics_of({.above_tokens = -1}), Catch::Contains("negative"));
}

TEST_CASE("A cache of bytes takes half the memory but for K of the outer layers") {
  const auto model = make_tiny_model(tiny_config());
  const auto halves = backend_of(model), bytes = backend_of(model, 512, 2, KvType::kInt8);
  CHECK(halves->kv_bytes_per_token() == 3 * 2 * 2 * 16 * 2);
  CHECK(bytes->kv_bytes_per_token() == 2 * (2 * 16 * 2 + 4 * (16 + 4)));
  CHECK(bytes->kv_types()[0] == KvLayerTypes{KvType::kF16, KvType::kInt8});
  CHECK(bytes->kv_types()[1] == KvLayerTypes{KvType::kInt8, KvType::kInt8});
  CHECK(bytes->kv_types()[2] == KvLayerTypes{KvType::kF16, KvType::kInt8});
  const auto tokens = some_tokens(50);
  CHECK(run_all(*halves, tokens) != run_all(*bytes, tokens));
}

TEST_CASE("A page exported and imported elsewhere holds the same keys and values") {
  const KvType kv_type = GENERATE(KvType::kF16, KvType::kInt8);
  const auto model = make_tiny_model(tiny_config());
  const auto from = backend_of(model, 512, 2, kv_type), to = backend_of(model, 512, 1, kv_type);
  const auto tokens = some_tokens(60);
  const auto expected = run_last(*from, tokens);
  for (const int n : {1, 33, 59}) {
    KvSequence sequence(from->kv_pages()), copy(to->kv_pages());
    run(*from, sequence, std::span(tokens).first(59), 0);
    const auto bytes = static_cast<size_t>(n * from->kv_bytes_per_token());
    std::vector<std::byte> page(bytes + 8, std::byte{0x5a});
    from->export_kv(sequence.pages()[0], n, page.data());
    CHECK(std::all_of(page.end() - 8, page.end(), [](std::byte b) { return b == std::byte{0x5a}; }));
    copy.reserve(n);
    to->import_kv(copy.pages()[0], n, page.data());
    copy.advance(n);
    CHECK(run(*to, copy, std::span(tokens).subspan(static_cast<size_t>(n)), 1) == expected);
  }
}

TEST_CASE("CpuBackend gives the same logits however the tokens are cut") {
  const auto config = GENERATE(tiny_config(), tiny_moe_config());
  const auto dtype = GENERATE(DType::kF32, DType::kQ8_0);
  const auto kv_type = GENERATE(KvType::kF16, KvType::kInt8);
  const auto model = make_tiny_model(config, dtype);
  const auto tokens = some_tokens(2 * kKvPageTokens + 44);
  const auto expected = run_all(*backend_of(model, 512, 2, kv_type), tokens);
  SECTION("pieces of the backend") {
    for (const int chunk : {1, 127, 128, 129}) {
      INFO("chunks of " << chunk);
      CHECK(run_all(*backend_of(model, chunk, 2, kv_type), tokens) == expected);
    }
  }
  SECTION("another number of threads") {
    CHECK(run_all(*backend_of(model, 512, 3, kv_type), tokens) == expected);
  }
  SECTION("decoding from any point") {
    const auto backend = backend_of(model, 512, 2, kv_type);
    for (const size_t prefill : {size_t{1}, size_t{126}, size_t{128}, size_t{250}}) {
      KvSequence sequence(backend->kv_pages());
      run(*backend, sequence, std::span(tokens).first(prefill), 0);
      for (size_t t = prefill; t < prefill + 10; ++t) {
        const auto logits = run(*backend, sequence, std::span(tokens).subspan(t, 1), 1);
        const size_t v = logits.size();
        REQUIRE(v == static_cast<size_t>(config.vocab_size));
        CHECK(std::equal(logits.begin(), logits.end(), expected.begin() + static_cast<ptrdiff_t>(t * v)));
      }
    }
  }
  SECTION("only some rows wanted") {
    const auto backend = backend_of(model, 100, 2, kv_type);
    KvSequence sequence(backend->kv_pages());
    const auto logits = run(*backend, sequence, tokens, 130);  // across a border of the pieces
    REQUIRE(logits.size() == 130 * static_cast<size_t>(config.vocab_size));
    CHECK(std::equal(logits.rbegin(), logits.rend(), expected.rbegin()));
  }
}

TEST_CASE("CpuBackend gives a sequence the same logits in any batch") {
  const auto config = GENERATE(tiny_config(), tiny_moe_config());
  const auto kv_type = GENERATE(KvType::kF16, KvType::kInt8);
  const auto backend = backend_of(make_tiny_model(config), 100, 2, kv_type);
  const auto sequences = some_sequences();
  const auto expected = run_alone(*backend, sequences);
  CHECK(run_together(*backend, sequences) == expected);
}

TEST_CASE("CpuBackend computes label rows as the whole head does") {
  Qwen2Config config = tiny_config();
  config.vocab_size = 269;  // the last tile is not full
  const auto backend = backend_of(make_tiny_model(config));
  const auto tokens = some_tokens(20);
  const auto all = run_all(*backend, tokens);
  const std::vector<int32_t> labels = {268, 0, 17, 16, 17, 100};
  KvSequence sequence(backend->kv_pages());
  const auto rows = run(*backend, sequence, tokens, 3, labels);
  REQUIRE(rows.size() == 3 * labels.size());
  for (size_t t = 0; t < 3; ++t) {
    for (size_t i = 0; i < labels.size(); ++i) {
      CHECK(rows[t * labels.size() + i] == all[(17 + t) * 269 + static_cast<size_t>(labels[i])]);
    }
  }
}

TEST_CASE("A forked sequence continues as the original also inside a page") {
  const auto kv_type = GENERATE(KvType::kF16, KvType::kInt8);
  const auto backend = backend_of(make_tiny_model(tiny_config()), 512, 2, kv_type);
  const auto tokens = some_tokens(200);
  const auto expected = run_all(*backend, tokens);
  const size_t v = expected.size() / tokens.size();
  KvSequence original(backend->kv_pages());
  run(*backend, original, std::span(tokens).first(199), 0);
  const auto fork_at = [&](int length) {
    KvSequence fork = original.fork(length);
    CHECK(fork.length() == length / kKvPageTokens * kKvPageTokens);
    const auto page = static_cast<size_t>(fork.length() / kKvPageTokens);
    const int rest = length - fork.length();
    fork.reserve(rest);
    if (rest > 0) backend->copy_kv(original.pages()[page], fork.pages()[page], rest);
    fork.advance(rest);
    return fork;
  };
  for (const int at : {1, 127, 128, 150, 199}) {
    INFO("forked after " << at);
    KvSequence other = fork_at(at);
    run(*backend, other, some_tokens(3, 99), 0);  // must not show in the original or in later forks
    KvSequence fork = fork_at(at);
    const auto logits = run(*backend, fork, std::span(tokens).subspan(static_cast<size_t>(at)), 1);
    CHECK(std::equal(logits.begin(), logits.end(), expected.end() - static_cast<ptrdiff_t>(v)));
  }
  const auto logits = run(*backend, original, std::span(tokens).last(1), 1);
  CHECK(std::equal(logits.begin(), logits.end(), expected.end() - static_cast<ptrdiff_t>(v)));
}

TEST_CASE("CpuBackend refuses what makes no sense") {
  const auto backend = backend_of(make_tiny_model(tiny_config()));
  KvSequence sequence(backend->kv_pages());
  sequence.reserve(10);
  const auto forward = [&](std::vector<int32_t> tokens, int first_position, int n_logits,
                           std::vector<int32_t> labels = {}) {
    const SequenceSlice slice[] = {{tokens, first_position, sequence.pages(), n_logits}};
    std::vector<float> logits;
    backend->forward({slice, labels}, logits, CancelToken());
  };
  CHECK_NOTHROW(forward({1, 2}, 0, 1));
  CHECK_THROWS_WITH(forward({1, 272}, 0, 1), Catch::Contains("272"));
  CHECK_THROWS_AS(forward({-1}, 0, 1), Error);
  CHECK_THROWS_AS(forward({1}, -1, 1), Error);
  CHECK_THROWS_AS(forward({1}, 128, 1), Error);
  CHECK_THROWS_AS(forward({1, 2}, 127, 1), Error);
  CHECK_THROWS_AS(forward({1}, 0, 2), Error);
  CHECK_THROWS_AS(forward({1}, 0, 1, {5, 272}), Error);
  CHECK_NOTHROW(forward({}, 0, 0));
  CHECK_THROWS_AS(make_cpu_backend(make_tiny_model(tiny_config()), {.n_threads = -1}, {}), Error);
}

TEST_CASE("CpuBackend refuses weights that do not fit the config") {
  Qwen2Config config = tiny_config();
  const auto model = make_tiny_model(config);
  auto& weights = const_cast<Weights&>(model->weights());
  SECTION("a matrix") {
    weights.layers[1].o_proj.rows = 63;
    CHECK_THROWS_WITH(backend_of(model), Catch::Contains("tensor o is [63, 64]"));
  }
  SECTION("a matrix without its bytes") {
    weights.layers[1].o_proj.data = weights.layers[1].o_proj.data.first(100);
    CHECK_THROWS_AS(backend_of(model), Error);
  }
  SECTION("a bias") {
    weights.layers[2].k_bias.pop_back();
    CHECK_THROWS_WITH(backend_of(model), Catch::Contains("k_proj"));
  }
  SECTION("a layer") {
    weights.layers.pop_back();
    CHECK_THROWS_AS(backend_of(model), Error);
  }
}

TEST_CASE("CpuBackend stops when it is cancelled and names the layer that yields NaN") {
  const auto model = make_tiny_model(tiny_config());
  SECTION("cancelled") {
    const auto backend = backend_of(model);
    const CancelToken cancel;
    backend->set_tap([&](std::string_view, int layer, std::span<const float>, int) {
      REQUIRE(layer < 2);
      if (layer == 1) cancel.cancel();
    });
    KvSequence sequence(backend->kv_pages());
    sequence.reserve(3);
    const std::vector<int32_t> tokens = {1, 2, 3};
    const SequenceSlice slice[] = {{tokens, 0, sequence.pages(), 1}};
    std::vector<float> logits;
    try {
      backend->forward({slice, {}}, logits, cancel);
      FAIL("was not cancelled");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kCancelled);
    }
  }
  SECTION("NaN") {
    const_cast<Weights&>(model->weights()).layers[1].v_bias[3] = std::numeric_limits<float>::quiet_NaN();
    const auto kv_type = GENERATE(KvType::kF16, KvType::kInt8);
    CHECK_THROWS_WITH(run_all(*backend_of(model, 512, 2, kv_type), some_tokens(3)),
                      Catch::Contains("layer 1"));
  }
}
