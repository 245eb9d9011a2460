#include "kernels/reference/dequantize.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "tests/support/catch.h"

using namespace lectern;

TEST_CASE("half precision round-trips every value") {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      CHECK(std::isnan(half_to_float(float_to_half(value))));
    } else if (float_to_half(value) != half) {
      FAIL("half " << bits << " is " << value << " and comes back as " << float_to_half(value));
    }
  }
}

TEST_CASE("float_to_half rounds to nearest even") {
  // Between each pair of neighbouring halves: the midpoint goes to the even one, its neighbours to the
  // nearer.
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float below = half_to_float(static_cast<uint16_t>(bits));
    const float above = half_to_float(static_cast<uint16_t>(bits + 1));
    const float middle = (below + above) / 2;
    const uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    const bool right = float_to_half(middle) == even && float_to_half(std::nextafter(middle, 0.0f)) == bits &&
                       float_to_half(std::nextafter(middle, above)) == bits + 1 &&
                       float_to_half(-middle) == (even | 0x8000);
    if (!right) FAIL("wrong rounding around " << middle);
  }
  CHECK(float_to_half(65519.99f) == 0x7bff);
  CHECK(float_to_half(65520.0f) == 0x7c00);
  CHECK(float_to_half(-std::numeric_limits<float>::infinity()) == 0xfc00);
  CHECK(float_to_half(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(half_to_float(0x0001) == 0x1p-24f);
  CHECK(std::signbit(half_to_float(0x8000)));
}

TEST_CASE("bf16 is the upper half of a float") {
  CHECK(bf16_to_float(0x3f80) == 1.0f);
  CHECK(bf16_to_float(0xc2f7) == -123.5f);
  CHECK(std::isinf(bf16_to_float(0x7f80)));
}

TEST_CASE("every type decodes to what the gguf package decodes it to, bit for bit") {
  const std::string folder = std::string(LECTERN_SOURCE_DIR) + "/tests/golden/dequantize/";
  const std::string blob = read_file(folder + "blocks.bin", 1 << 20);
  const Json sections = parse_json(read_file(folder + "blocks.json", 1 << 16), "blocks.json");
  REQUIRE(sections.size() == kDTypeCount);
  for (const Json& section : sections) {
    const std::string name = section["type"];
    INFO(name);
    int dtype = 0;
    while (kDTypeInfo[dtype].name != name) REQUIRE(++dtype < kDTypeCount);
    const auto n = section["elements"].get<size_t>();
    std::vector<float> expected(n), got(n);
    std::memcpy(expected.data(), blob.data() + section["values_offset"].get<size_t>(), n * sizeof(float));
    dequantize(static_cast<DType>(dtype), blob.data() + section["offset"].get<size_t>(),
               static_cast<int64_t>(n), got.data());
    CHECK(got == expected);
  }
}
