#include "base/bytes.h"

#include <array>

#include "tests/support/catch.h"

using namespace lectern;

TEST_CASE("ByteReader reads little-endian values and names what is missing") {
  const std::array<uint8_t, 6> raw = {1, 0, 0, 0, 7, 9};
  ByteReader reader(std::as_bytes(std::span(raw)), "file.bin");
  CHECK(reader.read<uint32_t>("magic") == 1);
  CHECK(reader.remaining() == 2);
  CHECK_THROWS_WITH(reader.read<uint32_t>("version"),
                    Catch::Contains("file.bin") && Catch::Contains("version at byte 4"));
  CHECK(reader.read<uint16_t>("rest") == 0x0907);
}

TEST_CASE("ByteReader refuses counts that the data cannot hold") {
  const std::array<uint64_t, 2> raw = {uint64_t{1} << 62, 0};
  ByteReader reader(std::as_bytes(std::span(raw)), "f");
  CHECK_THROWS_AS(reader.read_count("n", 8), Error);
}
