#include "engine/rope.h"

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
  Rope(config_of(64, 1e6f)).fill(30000, table.data());
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
  Rope(config).fill(position, table.data());
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
  Rope(config).fill(123, plain.data());
  config.rope_scaling = YarnScaling{1.0f, 32768};
  Rope(config).fill(123, scaled.data());
  CHECK(plain == scaled);
}
