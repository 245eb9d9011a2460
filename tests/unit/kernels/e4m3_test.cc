#include "kernels/common/e4m3.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/catch.h"

using namespace lectern;

namespace {

// The number of a code by the definition of the format, in double precision.
double by_definition(int code) {
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<double>::quiet_NaN();
  const double size =
      exponent == 0 ? std::ldexp(mantissa / 8.0, 1 - 7) : std::ldexp(1 + mantissa / 8.0, exponent - 7);
  return (code & 0x80) != 0 ? -size : size;
}

// The code of the number that is nearest to `value`, of two the even one.
int nearest(double value) {
  int best = 0;
  for (int code = 0; code < 0x7f; ++code) {
    const double distance = std::abs(by_definition(code) - std::abs(value)),
                 least = std::abs(by_definition(best) - std::abs(value));
    if (distance < least || (distance == least && code % 2 == 0)) best = code;
  }
  return best | (std::signbit(value) ? 0x80 : 0);
}

}  // namespace

TEST_CASE("every e4m3 code is the number of the definition and comes back") {
  for (int code = 0; code < 256; ++code) {
    INFO("code " << code);
    const float number = e4m3_to_float(static_cast<uint8_t>(code));
    const double expected = by_definition(code);
    if (std::isnan(expected)) {
      CHECK(std::isnan(number));
      CHECK(std::isnan(e4m3_to_float(float_to_e4m3(number))));
      continue;
    }
    CHECK(double{number} == expected);
    CHECK(std::signbit(number) == std::signbit(expected));
    CHECK(float_to_e4m3(number) == code);
  }
  CHECK(e4m3_to_float(0x7e) == kMostE4m3);
}

TEST_CASE("floats are rounded to the nearest e4m3 number and in the middle to the even one") {
  std::vector<float> values = {0.0f,      -0.0f,  1e-30f, 0x1p-10f, 0x1.000002p-10f,
                               0x1p-149f, 463.0f, 464.0f, 465.0f,   1e30f};
  for (int code = 0; code + 1 < 0x7f; ++code) {
    const double low = by_definition(code), high = by_definition(code + 1);
    const auto middle = static_cast<float>((low + high) / 2);
    for (const float value : {static_cast<float>(low), std::nextafter(static_cast<float>(low), 500.0f),
                              std::nextafter(middle, 0.0f), middle, std::nextafter(middle, 500.0f),
                              std::nextafter(static_cast<float>(high), 0.0f)})
      values.push_back(value);
  }
  std::mt19937 random(5);
  std::normal_distribution<float> exponent(0.0f, 6.0f);
  for (int i = 0; i < 2000; ++i) values.push_back(std::exp2(exponent(random)));
  for (const float value : values) {
    for (const float signed_value : {value, -value}) {
      INFO(std::hexfloat << signed_value);
      CHECK(int{float_to_e4m3(signed_value)} == nearest(signed_value));
    }
  }
}

TEST_CASE("what e4m3 cannot hold becomes the largest number and NaN stays NaN") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(float_to_e4m3(infinity) == 0x7e);
  CHECK(float_to_e4m3(-infinity) == 0xfe);
  CHECK(float_to_e4m3(std::numeric_limits<float>::max()) == 0x7e);
  CHECK(float_to_e4m3(std::nanf("")) == 0x7f);
  CHECK(float_to_e4m3(-std::nanf("")) == 0xff);
}

TEST_CASE("a row scaled to e4m3 keeps its largest number and loses a sixteenth at most") {
  const std::vector<float> row = {0.013f, -2.5f, 0.7f, 1.9f, -0.0001f};
  const float scale = e4m3_scale(2.5f);
  CHECK(scale * e4m3_to_float(float_to_e4m3(-2.5f / scale)) == Approx(-2.5f).epsilon(1e-6));
  for (const float x : row) {
    const float rounded = scale * e4m3_to_float(float_to_e4m3(x / scale));
    CHECK(std::abs(rounded - x) <= std::max(std::abs(x) / 16, scale * 0x1p-10f));
  }
  for (const float nothing : {0.0f, 1e-44f}) {
    CHECK(std::isfinite(1.0f / e4m3_scale(nothing)));
    CHECK(float_to_e4m3(nothing / e4m3_scale(nothing)) == 0);
  }
}
