#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/dispatch.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/reference/reference.h"
#include "tests/support/catch.h"
#include "tests/unit/cuda/device_buffer.h"
#include "tests/unit/kernels/random_numbers.h"

using namespace lectern;
using namespace lectern::test;

namespace {

RotaryTable table_of(int head_dim, bool dual_chunk) {
  RotaryTable table;
  table.n_pairs = head_dim / 2;
  for (int i = 0; i < table.n_pairs; ++i) table.inverse_frequency[i] = std::pow(1e6, -2.0 * i / head_dim);
  if (dual_chunk) {
    table.chunk_tokens = 512;
    table.chunk_size = 640;
    table.original_max_position_embeddings = 1024;
  } else {
    table.magnitude = 1.25;
  }
  return table;
}

struct Rotated {
  std::vector<float> key, query[kKeyChunks];
};

// By rotary_position.h, in double precision.
std::vector<float> cos_sin(const RotaryTable& table, const std::vector<Rotation>& rotations) {
  std::vector<float> result;
  for (const Rotation& rotation : rotations)
    for (const bool sine : {false, true})
      for (int i = 0; i < table.n_pairs; ++i) {
        const double angle = rotation.position * table.inverse_frequency[i];
        result.push_back(static_cast<float>((sine ? std::sin(angle) : std::cos(angle)) * rotation.magnitude));
      }
  return result;
}

Rotated expected_rotations(const RotaryTable& table, const std::vector<int32_t>& positions) {
  Rotated result;
  std::vector<Rotation> rotations;
  for (const int32_t position : positions) rotations.push_back(key_rotation(table, position));
  result.key = cos_sin(table, rotations);
  for (int chunk = 0; chunk < kKeyChunks; ++chunk) {
    rotations.clear();
    for (const int32_t position : positions)
      rotations.push_back(query_rotation(table, position, static_cast<KeyChunk>(chunk)));
    result.query[chunk] = cos_sin(table, rotations);
  }
  return result;
}

}  // namespace

TEST_CASE("cuda fill_rotations equals the position maths in double precision") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(8, 64, 256);
  const bool dual_chunk = GENERATE(false, true);
  const std::vector<int32_t> positions = {0, 1, 511, 512, 1100, 65536, 1048575};
  const RotaryTable table = table_of(d, dual_chunk);
  const Rotated expected = expected_rotations(table, positions);
  const DeviceBuffer<int32_t> device_positions(positions);
  const size_t size = positions.size() * static_cast<size_t>(d);
  const DeviceBuffer<float> key(size), intra(size), inter(size);
  cuda::fill_rotations(table, device_positions.data(), static_cast<int>(positions.size()),
                       {key.data(), {intra.data(), nullptr, inter.data()}}, nullptr);
  const auto check = [&](const std::vector<float>& got, const std::vector<float>& wanted) {
    for (size_t i = 0; i < size; ++i) CHECK(got[i] == Approx(wanted[i]).margin(2e-7).epsilon(2e-7));
  };
  check(key.values(), expected.key);
  check(intra.values(), expected.query[static_cast<int>(KeyChunk::kIntra)]);
  check(inter.values(), expected.query[static_cast<int>(KeyChunk::kInter)]);
}

namespace {

// Rows of two sequences, whose pages lie anywhere among kPages.
struct StoreCase {
  static constexpr int kPages = 5;
  int n_heads, n_kv_heads, d;
  KvType k_type, v_type;
  bool with_bias = true, with_scale = false;
  std::vector<int32_t> positions = {126, 127, 128, 129, 3, 700};
  std::vector<int32_t> pages = {4, 4, 0, 0, 2, 3};

  size_t n() const { return positions.size(); }
  size_t heads() const { return static_cast<size_t>(n_heads + 2 * n_kv_heads); }
  size_t head_bytes(KvType type) const {
    const auto size = static_cast<size_t>(d);
    return cuda::kPageTokens * (type == KvType::kInt8 ? size + sizeof(float) : 2 * size);
  }
};

// One head of a row: (x + bias) * scale, of which either may be empty.
std::vector<float> head_of(const std::vector<float>& x, const std::vector<float>& bias,
                           const std::vector<float>& scale, size_t at, size_t vector_at, size_t d) {
  std::vector<float> result(x.begin() + static_cast<std::ptrdiff_t>(at),
                            x.begin() + static_cast<std::ptrdiff_t>(at + d));
  if (!bias.empty())
    for (size_t i = 0; i < d; ++i) result[i] += bias[vector_at + i];
  if (!scale.empty())
    for (size_t i = 0; i < d; ++i) result[i] *= scale[vector_at + i];
  return result;
}

// The numbers of one position of a block of a page.
void check_stored(const std::vector<double>& expected, const std::byte* block, KvType type, size_t slot) {
  const size_t d = expected.size();
  if (type == KvType::kF16) {
    for (size_t i = 0; i < d; ++i) {
      uint16_t bits;
      std::memcpy(&bits, block + 2 * (slot * d + i), 2);
      CHECK(__half2float(__ushort_as_half(bits)) == Approx(expected[i]).epsilon(0.0006).margin(1e-6));
    }
    return;
  }
  const std::vector<float> x(expected.begin(), expected.end());
  std::vector<int8_t> bytes(d);
  float scale;
  kernel_table("generic").to_int8(x.data(), static_cast<int64_t>(d), bytes.data(), &scale);
  float got_scale;
  std::memcpy(&got_scale, block + static_cast<size_t>(cuda::kPageTokens) * d + slot * sizeof(float),
              sizeof(float));
  CHECK(got_scale == Approx(scale).epsilon(1e-6));
  for (size_t i = 0; i < d; ++i) {
    const auto got = static_cast<int8_t>(block[slot * d + i]);
    CHECK(std::abs(got - x[i] / scale) <= 0.5001f);
    CHECK(std::abs(got - bytes[i]) <= 1);  // where the rotation rounds otherwise, on the border of two bytes
  }
}

void check_store(const StoreCase& c, bool dual_chunk) {
  const auto d = static_cast<size_t>(c.d), n_heads = static_cast<size_t>(c.n_heads);
  const auto n_kv = static_cast<size_t>(c.n_kv_heads);
  const auto qkv = random_floats(c.n() * c.heads() * d, 21);
  const auto bias_of = [&](size_t heads, uint32_t seed) {
    return c.with_bias ? random_floats(heads * d, seed, 5.0f) : std::vector<float>();
  };
  const auto q_bias = bias_of(n_heads, 22), k_bias = bias_of(n_kv, 23), v_bias = bias_of(n_kv, 24);
  const auto scale_of = [&](size_t heads, uint32_t seed) {
    return c.with_scale ? random_floats(heads * d, seed, 2.0f) : std::vector<float>();
  };
  const auto q_scale = scale_of(n_heads, 25), k_scale = scale_of(n_kv, 26);
  const Rotated rotations = expected_rotations(table_of(c.d, dual_chunk), c.positions);

  const auto on_device = [](const std::vector<float>& vector) {
    return vector.empty() ? std::vector<float>(1) : vector;
  };
  const DeviceBuffer<float> device_qkv(qkv), dq(on_device(q_bias)), dk(on_device(k_bias)),
      dv(on_device(v_bias)), dqs(on_device(q_scale)), dks(on_device(k_scale)), key(rotations.key),
      intra(rotations.query[0]), succ(rotations.query[1]), inter(rotations.query[2]);
  const DeviceBuffer<int32_t> positions(c.positions), pages(c.pages);
  const size_t q_size = c.n() * n_heads * d;
  const DeviceBuffer<__half> q_intra(q_size), q_succ(q_size), q_inter(q_size);

  // A page: something of another layer, K, V.
  constexpr size_t kBefore = 512;
  const size_t k_bytes = c.head_bytes(c.k_type), v_bytes = c.head_bytes(c.v_type);
  const size_t page_bytes = kBefore + n_kv * (k_bytes + v_bytes);
  const DeviceBuffer<std::byte> cache(
      std::vector<std::byte>(StoreCase::kPages * page_bytes, std::byte{0x5a}));
  const cuda::StoreArgs args = {
      .qkv = device_qkv.data(),
      .q_bias = c.with_bias ? dq.data() : nullptr,
      .k_bias = c.with_bias ? dk.data() : nullptr,
      .v_bias = c.with_bias ? dv.data() : nullptr,
      .q_scale = c.with_scale ? dqs.data() : nullptr,
      .k_scale = c.with_scale ? dks.data() : nullptr,
      .n = static_cast<int>(c.n()),
      .n_heads = c.n_heads,
      .rotations = {key.data(),
                    {dual_chunk ? intra.data() : nullptr, dual_chunk ? succ.data() : nullptr,
                     dual_chunk ? inter.data() : nullptr}},
      .positions = positions.data(),
      .pages = pages.data(),
      .q = {q_intra.data(), nullptr, dual_chunk ? q_inter.data() : nullptr},
      .kv = {cache.data(),
             page_bytes,
             {c.k_type, kBefore, k_bytes},
             {c.v_type, kBefore + n_kv * k_bytes, v_bytes},
             c.n_kv_heads,
             c.d}};
  cuda::rotate_and_store(args, nullptr);

  const auto check_queries = [&](const std::vector<__half>& got, const std::vector<float>& cs) {
    for (size_t row = 0; row < c.n(); ++row)
      for (size_t head = 0; head < n_heads; ++head) {
        const auto x = head_of(qkv, q_bias, q_scale, (row * c.heads() + head) * d, head * d, d);
        const auto expected = reference::rope(x.data(), cs.data() + row * d, c.d);
        for (size_t i = 0; i < d; ++i)
          CHECK(__half2float(got[(row * n_heads + head) * d + i]) ==
                Approx(expected[i]).epsilon(0.0006).margin(1e-6));
      }
  };
  check_queries(q_intra.values(), dual_chunk ? rotations.query[0] : rotations.key);
  if (dual_chunk) check_queries(q_inter.values(), rotations.query[2]);

  const auto stored = cache.values();
  for (size_t row = 0; row < c.n(); ++row) {
    const std::byte* page = stored.data() + static_cast<size_t>(c.pages[row]) * page_bytes;
    const auto slot = static_cast<size_t>(c.positions[row]) % cuda::kPageTokens;
    for (size_t head = 0; head < n_kv; ++head) {
      const size_t at = (row * c.heads() + n_heads + head) * d;
      const auto k = head_of(qkv, k_bias, k_scale, at, head * d, d);
      check_stored(reference::rope(k.data(), rotations.key.data() + row * d, c.d),
                   page + kBefore + head * k_bytes, c.k_type, slot);
      const auto v = head_of(qkv, v_bias, {}, at + n_kv * d, head * d, d);
      check_stored({v.begin(), v.end()}, page + kBefore + n_kv * k_bytes + head * v_bytes, c.v_type, slot);
    }
  }
  // Page 1 belongs to nobody here, nor does what lies before this layer.
  for (size_t i = 0; i < page_bytes; ++i) REQUIRE(stored[page_bytes + i] == std::byte{0x5a});
  for (size_t page = 0; page < StoreCase::kPages; ++page)
    for (size_t i = 0; i < kBefore; ++i) REQUIRE(stored[page * page_bytes + i] == std::byte{0x5a});
}

}  // namespace

TEST_CASE("cuda rotate_and_store turns queries and keys and keeps values") {
  LECTERN_NEEDS_DEVICE();
  const int d = GENERATE(8, 64, 128, 256);
  const bool dual_chunk = GENERATE(false, true);
  check_store({6, 2, d, KvType::kF16, KvType::kF16}, dual_chunk);
  check_store({6, 2, d, KvType::kInt8, KvType::kInt8}, dual_chunk);
  check_store({6, 2, d, KvType::kInt8, KvType::kInt8, true, true}, dual_chunk);
  check_store({3, 3, d, KvType::kF16, KvType::kInt8, false}, dual_chunk);
}

TEST_CASE("cuda rotate_and_store keeps what bytes cannot hold visible") {
  LECTERN_NEEDS_DEVICE();
  constexpr size_t kDim = 64;
  const float bad =
      GENERATE(0.0f, 1e-35f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN());
  std::vector<float> qkv(3 * kDim, 0.0f);
  qkv[2 * kDim + 60] = bad;  // in the value
  const std::vector<float> none(kDim, 0.0f);
  const DeviceBuffer<float> device_qkv(qkv), bias(none), key(none);
  const DeviceBuffer<int32_t> zero(std::vector<int32_t>{0});
  const size_t block = cuda::kPageTokens * (kDim + sizeof(float));
  const DeviceBuffer<std::byte> cache(2 * block);
  cuda::rotate_and_store(
      {.qkv = device_qkv.data(),
       .q_bias = bias.data(),
       .k_bias = bias.data(),
       .v_bias = bias.data(),
       .n = 1,
       .n_heads = 1,
       .rotations = {key.data(), {}},
       .positions = zero.data(),
       .pages = zero.data(),
       .q = {},
       .kv = {cache.data(), 2 * block, {KvType::kInt8, 0, block}, {KvType::kInt8, block, block}, 1, kDim}},
      nullptr);
  const auto stored = cache.values();
  float scale;
  std::memcpy(&scale, stored.data() + block + cuda::kPageTokens * kDim, sizeof(scale));
  CHECK(std::isnan(scale) == !std::isfinite(bad));
  if (std::isfinite(bad)) CHECK(scale == 0.0f);
  for (size_t i = 0; i < kDim; ++i) CHECK(stored[block + i] == std::byte{0});
}
