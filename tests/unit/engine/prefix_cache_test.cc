#include "engine/prefix_cache.h"

#include "base/error.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;

namespace {

std::unique_ptr<Backend> small_backend(KvType kv_type = KvType::kF16) {
  return make_cpu_backend(make_tiny_model(tiny_config()),
                          {.n_threads = 1, .kv_tokens = 512, .kv_type = kv_type}, {});
}

void remember(PrefixCache& cache, Backend& backend, std::span<const int32_t> tokens) {
  KvSequence sequence(backend.kv_pages());
  cache.reserve(sequence, static_cast<int>(tokens.size()));
  run(backend, sequence, tokens, 0);
  cache.keep(tokens, std::move(sequence));
}

}  // namespace

TEST_CASE("PrefixCache finds the longest common beginning to the token") {
  const auto backend = small_backend(GENERATE(KvType::kF16, KvType::kInt8));
  PrefixCache cache(*backend);
  auto tokens = some_tokens(200);
  CHECK(cache.longest(tokens).length() == 0);
  remember(cache, *backend, tokens);
  remember(cache, *backend, some_tokens(50, 3));
  CHECK(cache.longest(tokens).length() == 200);
  CHECK(cache.longest(std::span(tokens).first(130)).length() == 130);
  CHECK(cache.longest(std::span(tokens).first(0)).length() == 0);

  tokens[150] ^= 1;
  KvSequence sequence = cache.longest(tokens);
  CHECK(sequence.length() == 150);
  const auto expected = run_last(*backend, tokens);
  CHECK(run(*backend, sequence, std::span(tokens).subspan(150), 1) == expected);
}

TEST_CASE("PrefixCache drops what a newer sequence contains") {
  const auto backend = small_backend();
  PrefixCache cache(*backend);
  const int all = backend->kv_pages().n_free();
  const auto tokens = some_tokens(128);
  remember(cache, *backend, std::span(tokens).first(100));
  remember(cache, *backend, tokens);
  CHECK(backend->kv_pages().n_free() == all - 1);
}

TEST_CASE("PrefixCache gives up the oldest sequences when pages are needed") {
  const auto backend = small_backend();
  PrefixCache cache(*backend);
  const int all = backend->kv_pages().n_free();
  const auto oldest = some_tokens(100, 1), used = some_tokens(100, 2), newest = some_tokens(100, 3);
  remember(cache, *backend, oldest);
  remember(cache, *backend, used);
  remember(cache, *backend, newest);
  cache.longest(oldest);  // now the one used last
  {
    KvSequence sequence(backend->kv_pages());
    cache.reserve(sequence, (all - 1) * kKvPageTokens);
    CHECK(cache.longest(used).length() == 0);
    CHECK(cache.longest(newest).length() == 0);
    // The one left cannot be copied: its only page is partly filled and none is free.
    CHECK(cache.longest(oldest).length() == 0);
  }
  CHECK(cache.longest(oldest).length() == 100);
  KvSequence sequence(backend->kv_pages());
  CHECK_THROWS_AS(cache.reserve(sequence, (all + 1) * kKvPageTokens), Error);
  CHECK(sequence.pages().empty());
}
