#include "engine/planner.h"

#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

using namespace lectern;

namespace {

constexpr int64_t kGb = 1'000'000'000;

// Shaped as the 7B with a million tokens in 4 bits: 57,344 bytes of KV a token in halves.
const ContextCosts k7BMillion = {.context_tokens = 1'010'000,
                                 .weight_bytes = 4'700'000'000,
                                 .kv_bytes_f16 = 57'344,
                                 .kv_bytes_int8 = 31'000,
                                 .activation_bytes = 400'000,
                                 .token_work = 6.5e9,
                                 .attention_work = 800'000};
// As the 0.5B with 32,768 tokens.
const ContextCosts kSmall = {.context_tokens = 32'768,
                             .weight_bytes = 400'000'000,
                             .kv_bytes_f16 = 12'288,
                             .kv_bytes_int8 = 7'200,
                             .activation_bytes = 120'000,
                             .token_work = 3.6e8,
                             .attention_work = 172'000};

// A plan must keep its promises whatever was asked.
ContextPlan plan_of(const ContextCosts& costs, const ContextWish& wish) {
  ContextPlan plan = plan_context(costs, wish);
  CHECK(plan.text_tokens == wish.text_tokens);
  if (!plan.fits()) {
    CHECK(plan.context_tokens == 0);
    return plan;
  }
  CHECK(plan.context_tokens >= wish.text_tokens + wish.other_tokens);
  CHECK(plan.context_tokens <= costs.context_tokens);
  const int64_t kv = plan.kv_type == KvType::kInt8 ? costs.kv_bytes_int8 : costs.kv_bytes_f16;
  const int64_t all = costs.weight_bytes + int64_t{plan.context_tokens} * kv +
                      int64_t{plan.prefill_chunk_tokens} * costs.activation_bytes;
  CHECK(all <= wish.free_bytes - wish.free_bytes / 8);
  return plan;
}

}  // namespace

TEST_CASE("A document gets the smallest tier that holds it") {
  for (const auto& [tokens, context] : {std::pair{9'812, 1 << 15},
                                        {32'768, 1 << 15},
                                        {32'769, 1 << 16},
                                        {100'000, 1 << 17},
                                        {200'000, 1 << 18},
                                        {400'000, 1 << 19},
                                        {900'000, 1'010'000}}) {
    INFO(tokens);
    const ContextPlan plan = plan_of(k7BMillion, {.text_tokens = tokens, .free_bytes = 200 * kGb});
    REQUIRE(plan.fits());
    CHECK(plan.context_tokens == context);
    CHECK(plan.kv_type == KvType::kF16);
    CHECK(plan.is_sparse() == (tokens > 32'768));
    CHECK(plan.prefill_chunk_tokens == 512);
  }
}

TEST_CASE("A cache of bytes is chosen where only it fits and never against what was asked for") {
  const ContextWish wish = {.text_tokens = 1'000'000, .free_bytes = 60 * kGb};
  const ContextPlan plan = plan_of(k7BMillion, wish);
  REQUIRE(plan.fits());
  CHECK(plan.kv_type == KvType::kInt8);
  CHECK(plan.kv_bytes == 31'000 * wish.text_tokens);
  CHECK_THAT(describe(plan), Catch::Contains("KV in int8, 31.0 GB"));

  ContextWish halves = wish;
  halves.kv_type = KvType::kF16;
  const ContextPlan refused = plan_of(k7BMillion, halves);
  CHECK_FALSE(refused.fits());
  CHECK_THAT(refused.refusal, Catch::Contains("in f16") && Catch::Contains("would fit"));

  ContextWish bytes = wish;
  bytes.free_bytes = 500 * kGb;
  bytes.kv_type = KvType::kInt8;
  CHECK(plan_of(k7BMillion, bytes).kv_type == KvType::kInt8);
}

TEST_CASE("A million tokens on a small memory are refused with what would fit") {
  const ContextWish wish = {.text_tokens = 1'000'000, .free_bytes = 16 * kGb};
  const ContextPlan plan = plan_of(k7BMillion, wish);
  REQUIRE_FALSE(plan.fits());
  CHECK_THAT(plan.refusal, Catch::Contains("1,000,000 tokens") && Catch::Contains("14.0 GB can be had"));
  // What is said to fit does, and no page more.
  const std::string& text = plan.refusal;
  const size_t at = text.find("up to ");
  REQUIRE(at != std::string::npos);
  const int64_t fitting = std::stoll(text.substr(at + 6));
  CHECK(fitting > 200'000);
  CHECK(plan_of(k7BMillion, {.text_tokens = fitting, .free_bytes = 16 * kGb}).fits());
  CHECK_FALSE(plan_of(k7BMillion, {.text_tokens = fitting + kKvPageTokens, .free_bytes = 16 * kGb}).fits());
}

TEST_CASE("More than the model reads is refused however much memory there is") {
  const ContextPlan plan = plan_of(k7BMillion, {.text_tokens = 1'200'000, .free_bytes = 1000 * kGb});
  REQUIRE_FALSE(plan.fits());
  CHECK_THAT(plan.refusal, Catch::Contains("1,200,000 tokens") &&
                               Catch::Contains("the model's context of 1,010,000") &&
                               Catch::Contains("up to 1010000 tokens of text would fit"));
  // The smaller of what model and memory allow is what would fit.
  const ContextPlan both = plan_of(k7BMillion, {.text_tokens = 1'200'000, .free_bytes = 16 * kGb});
  CHECK_THAT(both.refusal,
             Catch::Contains("the model's context of 1,010,000") && !Catch::Contains("1010000"));
  // Question and answer count.
  const ContextPlan beside =
      plan_of(k7BMillion, {.text_tokens = 1'009'500, .other_tokens = 600, .free_bytes = 1000 * kGb});
  CHECK_THAT(beside.refusal, Catch::Contains("with 600 for question") && Catch::Contains("up to 1009400"));
  // A model with a short context.
  CHECK(plan_of(kSmall, {.text_tokens = 20'000, .free_bytes = 4 * kGb}).context_tokens == 32'768);
  CHECK_THAT(plan_of(kSmall, {.text_tokens = 40'000, .free_bytes = 4 * kGb}).refusal,
             Catch::Contains("the model's context of 32,768"));
}

TEST_CASE("Too little memory for the model itself is refused") {
  for (const int64_t free_bytes : {int64_t{0}, 100 * kGb / 1000, 450 * kGb / 1000}) {
    INFO(free_bytes);
    const ContextPlan plan = plan_of(kSmall, {.text_tokens = 2'000, .free_bytes = free_bytes});
    REQUIRE_FALSE(plan.fits());
    CHECK_THAT(plan.refusal, Catch::Contains("nothing of it would fit"));
  }
}

TEST_CASE("A limit on the context is kept and said") {
  const ContextWish wish = {.text_tokens = 50'000, .free_bytes = 200 * kGb, .max_context_tokens = 60'000};
  CHECK(plan_of(k7BMillion, wish).context_tokens == 60'000);
  ContextWish shorter = wish;
  shorter.max_context_tokens = 40'000;
  CHECK_THAT(plan_of(k7BMillion, shorter).refusal,
             Catch::Contains("the context may have, 40,000") && Catch::Contains("up to 40000"));
  // It is an upper limit: the model's own stays.
  ContextWish longer = wish;
  longer.max_context_tokens = 100'000;
  CHECK_THAT(plan_of(kSmall, longer).refusal, Catch::Contains("the model's context of 32,768"));
}

TEST_CASE("Little memory gives smaller pieces and less than a whole tier") {
  // The text fits and its tier does not.
  const ContextPlan plan = plan_of(k7BMillion, {.text_tokens = 70'000, .free_bytes = 11 * kGb});
  REQUIRE(plan.fits());
  CHECK(plan.context_tokens < 1 << 17);
  CHECK(plan.prefill_chunk_tokens == 512);
  const ContextPlan tight = plan_of(kSmall, {.text_tokens = 20'000, .free_bytes = kGb});
  REQUIRE(tight.fits());
  CHECK(tight.prefill_chunk_tokens < 512);
}

TEST_CASE("The expected time grows faster than the text and is said to be unknown where it is") {
  ContextWish wish = {.text_tokens = 8'000, .free_bytes = 4 * kGb};
  CHECK_FALSE(plan_of(kSmall, wish).seconds);
  CHECK_THAT(describe(plan_context(kSmall, wish)), Catch::Contains("not known yet"));
  wish.speed = ReadingSpeed{4'000, 9};
  const double seconds = plan_of(kSmall, wish).seconds.value();
  CHECK(seconds > 18);
  CHECK(seconds < 36);
  CHECK_THAT(describe(plan_context(kSmall, wish)), Catch::Contains("; about "));
  wish.text_tokens = 4'000;
  CHECK(plan_of(kSmall, wish).seconds.value() == Approx(9));
  ContextWish sparse = {.text_tokens = 100'000, .free_bytes = 200 * kGb, .speed = ReadingSpeed{4'000, 9}};
  CHECK_THAT(describe(plan_context(k7BMillion, sparse)),
             Catch::Contains("read sparsely") && Catch::Contains("at most"));
  sparse.sparse.above_tokens = INT_MAX;
  CHECK_THAT(describe(plan_context(k7BMillion, sparse)), Catch::Contains("read in full"));
}

TEST_CASE("A plan is one line") {
  ContextPlan plan =
      plan_context(kSmall, {.text_tokens = 9'812, .free_bytes = 4 * kGb, .speed = ReadingSpeed{9'812, 41}});
  CHECK(describe(plan) ==
        "9,812 tokens of text in a context of 32K; KV in f16, 120.6 MB; read in full, 512 at a time; "
        "582.0 MB of memory in all; about 41 s");
  plan.kept = true;
  CHECK_THAT(describe(plan), Catch::Contains("kept from an earlier reading: it is not read again"));
}

TEST_CASE("The costs of a model come from its file") {
  const auto model = test::make_tiny_model(test::tiny_config());
  const ContextCosts costs = context_costs(*model);
  CHECK(costs.context_tokens == model->config().context_tokens());
  CHECK(costs.weight_bytes > 0);
  CHECK(costs.kv_bytes_f16 == 4 * model->config().num_hidden_layers * model->config().kv_size());
  CHECK(costs.kv_bytes_int8 < costs.kv_bytes_f16);
  CHECK(reading_work(costs, 200) > 2 * reading_work(costs, 100));
}
