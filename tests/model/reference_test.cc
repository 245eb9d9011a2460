// The real models against llama.cpp: how well they predict a text, and what they say next.
// tests/golden/reference holds what tools/reference_perplexity.py made; docs/testing.md, "Against llama.cpp".
#include <algorithm>
#include <bit>
#include <cmath>
#include <iostream>

#include "base/hash.h"
#include "base/json.h"
#include "engine/engine.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/real_models.h"

using namespace lectern;
using namespace lectern::test;

namespace {

// Both sides round activations to 8 bits, each in its own way. How far that moves one logit of these models
// is in docs/testing.md; below these bounds the order of two logits tells nothing.
constexpr double kPerplexityShare = 0.01;
constexpr double kNearTie = 0.5;
constexpr double kLogitNoise = 0.25;

const std::string kFolder = std::string(LECTERN_SOURCE_DIR) + "/tests/golden/reference/";
constexpr uint64_t kMaxBytes = 1 << 20;

class Reference {
 public:
  explicit Reference(const std::string& model_file)
      : expected_(parse_json(read_file(kFolder + model_file + ".json", kMaxBytes), model_file + ".json")),
        engine_(Engine::load(real_model_path(model_file), {.backend = {.n_threads = 2, .kv_tokens = 1024}})) {
  }

  // Every third window of the text, the last and shorter one among them: half a minute on two cores for 1.5B.
  void check_perplexity() {
    static_assert(std::endian::native == std::endian::little);
    const std::vector<int32_t> tokens =
        engine_->tokenizer().encode(read_file(kFolder + "mixed_en_zh.txt", kMaxBytes));
    CHECK(tokens.size() == expected_.at("tokens").get<size_t>());
    const auto bytes = std::as_bytes(std::span(tokens));
    REQUIRE(sha256_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}) ==
            expected_.at("tokens_sha256").get<std::string>());

    const auto windows = expected_.at("windows").get<std::vector<double>>();
    const auto size = expected_.at("window").get<size_t>();
    double ours = 0, theirs = 0;
    int n_predicted = 0;
    for (size_t w = 0; w < windows.size(); w += 3) {
      const auto first = tokens.begin() + static_cast<ptrdiff_t>(w * size);
      const auto last = tokens.begin() + static_cast<ptrdiff_t>(std::min(tokens.size(), (w + 1) * size));
      const ScoreItem item[] = {{{*first}, {first + 1, last}}};
      const Engine::Score score = engine_->score(item, CancelToken())[0];
      ours += score.log_probability;
      theirs += windows[w];
      n_predicted += score.n_tokens;
    }
    const double ratio = std::exp((theirs - ours) / n_predicted);
    std::cout << "perplexity over " << n_predicted << " tokens: " << std::exp(-ours / n_predicted)
              << ", llama.cpp's times " << ratio << '\n';
    CHECK(n_predicted > 1500);
    CHECK(std::abs(ratio - 1) < kPerplexityShare);
  }

  // After llama.cpp's own greedy tokens, one by one, ours says the same next token, unless its best two were
  // a near-tie there and ours takes the other one.
  void check_greedy() {
    int n_steps = 0, n_ties = 0;
    double squares = 0;
    for (const Json& greedy : expected_.at("greedy")) {
      const auto prompt = greedy.at("prompt_tokens").get<std::vector<int32_t>>();
      CHECK(engine_->tokenizer().encode(greedy.at("prompt").get<std::string>()) == prompt);
      const auto best = greedy.at("tokens").get<std::vector<int32_t>>();
      const auto second = greedy.at("second_tokens").get<std::vector<int32_t>>();
      KvSequence sequence(engine_->backend().kv_pages());
      std::vector<float> logits = run(engine_->backend(), sequence, prompt, 1);
      for (size_t i = 0; i < best.size(); ++i) {
        const auto ours =
            static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
        const double their_best = greedy.at("best")[i],
                     their_gap = their_best - greedy.at("second")[i].get<double>();
        const double our_gap =
            double{logits[static_cast<size_t>(best[i])]} - logits[static_cast<size_t>(second[i])];
        squares += std::pow(logits[static_cast<size_t>(best[i])] - their_best, 2);
        ++n_steps;
        if (ours != best[i]) {
          ++n_ties;
          std::cout << greedy.at("prompt") << " token " << i << ": ours " << ours << ", llama.cpp's "
                    << best[i] << ", which leads " << second[i] << " by " << their_gap << " there and "
                    << our_gap << " here\n";
          CHECK(ours == second[i]);
          CHECK(their_gap < kNearTie);
          CHECK(-our_gap < kNearTie);
        }
        logits = run(engine_->backend(), sequence, {&best[i], 1}, 1);
      }
    }
    std::cout << n_steps << " greedy tokens, " << n_ties
              << " near-ties; root mean square difference of the best logit " << std::sqrt(squares / n_steps)
              << '\n';
    CHECK(n_steps == 160);
    CHECK(std::sqrt(squares / n_steps) < kLogitNoise);
  }

 private:
  Json expected_;
  std::unique_ptr<Engine> engine_;
};

// One test a model, so that a missing file skips its own test alone.
void check(const char* model_file, void (Reference::*what)()) {
  if (!std::filesystem::exists(real_model_path(model_file))) {
    LECTERN_SKIP(real_model_path(model_file).string() + " is not there");
  }
  Reference reference(model_file);
  (reference.*what)();
}

}  // namespace

TEST_CASE("0.5B predicts a text as well as on llama.cpp") {
  check(kSmallModelFile, &Reference::check_perplexity);
}
TEST_CASE("0.5B says what it says on llama.cpp") {
  check(kSmallModelFile, &Reference::check_greedy);
}
TEST_CASE("1.5B predicts a text as well as on llama.cpp") {
  check(kDefaultModelFile, &Reference::check_perplexity);
}
TEST_CASE("1.5B says what it says on llama.cpp") {
  check(kDefaultModelFile, &Reference::check_greedy);
}
