#include "base/hash.h"

#include <set>
#include <vector>

#include "tests/support/catch.h"

using namespace lectern;

// Vectors of FIPS 180-4's examples.
TEST_CASE("SHA-256 gives the published digests, however the data is cut") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const std::string million(1'000'000, 'a');
  Sha256 hash;
  for (size_t i = 0; i < million.size(); i += 997) hash.update(std::string_view(million).substr(i, 997));
  CHECK(hash.hex_digest() == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("the fast hash tells every changed bit and length apart") {
  std::vector<std::byte> data(200);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7);
  std::set<uint64_t> seen;
  for (size_t n = 0; n <= data.size(); ++n) seen.insert(fast_hash(std::span(data).first(n)));
  CHECK(seen.size() == data.size() + 1);
  const uint64_t whole = fast_hash(data);
  for (size_t bit = 0; bit < data.size() * 8; ++bit) {
    data[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    CHECK(fast_hash(data) != whole);
    seen.insert(fast_hash(data));
    // The same bit 64 bytes on, in the same chain, does not undo it.
    if (bit / 8 + 64 < data.size()) {
      data[bit / 8 + 64] ^= std::byte{1} << static_cast<int>(bit % 8);
      CHECK(fast_hash(data) != whole);
      data[bit / 8 + 64] ^= std::byte{1} << static_cast<int>(bit % 8);
    }
    data[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
  }
  CHECK(seen.size() == data.size() * 9 + 1);
  CHECK(fast_hash(data) == whole);
  // It stands in files.
  CHECK(fast_hash({}) == 0x7473f8ea11b0f837u);
}
