// A paged cache of random keys and values on the device, and attention over it in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/reference/dequantize.h"
#include "kernels/reference/reference.h"
#include "tests/unit/cuda/device_buffer.h"

namespace lectern::test {

inline std::vector<float> random_normal(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// Threads of a block take turns the other way round while it lives (on the host).
class ThreadOrder {
 public:
  explicit ThreadOrder([[maybe_unused]] bool reverse) {
#ifdef LECTERN_CUDA_EMULATION
    emulation::set_reverse_order(reverse);
#endif
  }
  ~ThreadOrder() {
#ifdef LECTERN_CUDA_EMULATION
    emulation::set_reverse_order(false);
#endif
  }
  ThreadOrder(const ThreadOrder&) = delete;
  ThreadOrder& operator=(const ThreadOrder&) = delete;
};

// Every other run lets the threads of a block take turns the other way round.
inline bool next_order() {
  static bool reverse = false;
  return reverse = !reverse;
}

struct CacheShape {
  KvType k_type = KvType::kF16, v_type = KvType::kF16;
  int n_kv_heads = 1, head_dim = 64;
  float key_size = 1;
};

// Sequences whose pages lie mixed in the pool. What was never written is NaN: as a half, and as a scale.
class PagedCache {
 public:
  PagedCache(const CacheShape& shape, const std::vector<int>& n_keys, uint64_t seed)
      : shape_(shape), host_(make(n_keys, seed)), bytes_(host_), page_tables_(tables_) {}

  cuda::KvLayer layer() const {
    return {bytes_.data(),
            page_bytes(),
            {shape_.k_type, kBefore, head_bytes(shape_.k_type)},
            {shape_.v_type, kBefore + heads() * head_bytes(shape_.k_type), head_bytes(shape_.v_type)},
            shape_.n_kv_heads,
            shape_.head_dim};
  }
  const int32_t* page_tables() const { return page_tables_.data(); }
  int page_table(int sequence) const { return table_begins_[static_cast<size_t>(sequence)]; }
  // [n_keys, head_dim]
  const std::vector<float>& keys(int sequence, int kv_head) const {
    return keys_[side_index(sequence, kv_head)];
  }
  const std::vector<float>& values(int sequence, int kv_head) const {
    return values_[side_index(sequence, kv_head)];
  }

 private:
  static constexpr size_t kBefore = 64;  // other layers

  size_t heads() const { return static_cast<size_t>(shape_.n_kv_heads); }
  size_t d() const { return static_cast<size_t>(shape_.head_dim); }
  size_t head_bytes(KvType type) const {
    return cuda::kPageTokens * (type == KvType::kInt8 ? d() + 4 : 2 * d());
  }
  size_t page_bytes() const {
    return kBefore + heads() * (head_bytes(shape_.k_type) + head_bytes(shape_.v_type)) + 32;
  }
  size_t side_index(int sequence, int kv_head) const {
    return static_cast<size_t>(sequence) * heads() + static_cast<size_t>(kv_head);
  }

  std::vector<std::byte> make(const std::vector<int>& n_keys, uint64_t seed) {
    for (const int n : n_keys) {
      table_begins_.push_back(static_cast<int>(tables_.size()));
      tables_.resize(tables_.size() + static_cast<size_t>((n + cuda::kPageTokens - 1) / cuda::kPageTokens));
    }
    std::iota(tables_.begin(), tables_.end(), 0);
    std::shuffle(tables_.begin(), tables_.end(), std::mt19937_64(seed));
    std::vector<std::byte> host(tables_.size() * page_bytes(), std::byte{0xff});
    for (size_t s = 0; s < n_keys.size(); ++s)
      for (size_t head = 0; head < heads(); ++head) {
        keys_.push_back(fill(host, s, n_keys[s], head, kBefore, shape_.k_type, shape_.key_size, ++seed));
        values_.push_back(fill(host, s, n_keys[s], head, kBefore + heads() * head_bytes(shape_.k_type),
                               shape_.v_type, 1.0f, ++seed));
      }
    return host;
  }
  // Returns the numbers as they are stored.
  std::vector<float> fill(std::vector<std::byte>& host, size_t sequence, int n, size_t head, size_t offset,
                          KvType type, float size, uint64_t seed) const {
    std::vector<float> numbers = random_normal(static_cast<size_t>(n) * d(), seed);
    for (size_t i = 0; i < numbers.size(); ++i) {
      const size_t token = i / d(), in_page = token % cuda::kPageTokens;
      const int32_t page = tables_[static_cast<size_t>(table_begins_[sequence]) + token / cuda::kPageTokens];
      std::byte* block =
          host.data() + static_cast<size_t>(page) * page_bytes() + offset + head * head_bytes(type);
      if (type == KvType::kF16) {
        const uint16_t half = float_to_half(numbers[i] * size);
        std::memcpy(block + (in_page * d() + i % d()) * 2, &half, sizeof(half));
        numbers[i] = half_to_float(half);
      } else {
        const float scale = size * static_cast<float>(1 + token % 5) / 100.0f;
        const auto byte =
            static_cast<int8_t>(std::lrint(std::clamp(numbers[i] * size / scale, -127.0f, 127.0f)));
        std::memcpy(block + in_page * d() + i % d(), &byte, sizeof(byte));
        std::memcpy(block + cuda::kPageTokens * d() + in_page * 4, &scale, sizeof(scale));
        numbers[i] = scale * static_cast<float>(byte);
      }
    }
    return numbers;
  }

  CacheShape shape_;
  std::vector<int32_t> tables_;
  std::vector<int> table_begins_;
  std::vector<std::vector<float>> keys_, values_;
  std::vector<std::byte> host_;
  DeviceBuffer<std::byte> bytes_;
  DeviceBuffer<int32_t> page_tables_;
};

// Random queries [n_rows, n_heads * head_dim], rotated in each of the ways.
struct TestQueries {
  TestQueries(int n_rows, int n_heads, int head_dim, uint64_t seed) {
    for (int kind = 0; kind < kKeyChunks; ++kind) {
      std::vector<float> numbers =
          random_normal(static_cast<size_t>(n_rows) * static_cast<size_t>(n_heads * head_dim),
                        seed + static_cast<uint64_t>(kind));
      std::vector<__half> halves;
      for (float& x : numbers) {
        halves.push_back(__float2half_rn(x));
        x = __half2float(halves.back());
      }
      host[kind] = numbers;
      device.emplace_back(std::make_unique<DeviceBuffer<__half>>(halves));
    }
  }
  std::vector<float> host[kKeyChunks];
  std::vector<std::unique_ptr<DeviceBuffer<__half>>> device;
};

inline KeyChunk chunk_of(const cuda::AttentionTask& task, int page) {
  return page >= task.intra_page  ? KeyChunk::kIntra
         : page >= task.succ_page ? KeyChunk::kSucc
                                  : KeyChunk::kInter;
}

// `reads`: which of the keys are read, or null: all. q[kind] + at is the query head.
struct RowResult {
  std::vector<double> out;
  double log_sum_exp;
};
inline RowResult attend_in_double(const TestQueries& queries, size_t at, const std::vector<float>& keys,
                                  const std::vector<float>& values, const cuda::AttentionTask& task,
                                  int position, const std::function<bool(int)>& reads, int head_dim,
                                  double scale) {
  const auto d = static_cast<size_t>(head_dim);
  std::vector<size_t> read;
  std::vector<double> scores;
  double top = -INFINITY;
  for (int j = 0; j <= position; ++j) {
    const int page = j / cuda::kPageTokens;
    if (reads && !reads(j)) continue;
    const float* q = queries.host[static_cast<int>(chunk_of(task, page))].data() + at;
    const float* k = keys.data() + static_cast<size_t>(j) * d;
    double dot = 0;
    for (size_t i = 0; i < d; ++i) dot += double{q[i]} * double{k[i]};
    read.push_back(static_cast<size_t>(j));
    scores.push_back(dot * scale);
    top = std::max(top, scores.back());
  }
  RowResult result{std::vector<double>(d, 0.0), -INFINITY};
  double sum = 0;
  for (const double score : scores) sum += std::exp(score - top);
  if (sum > 0) result.log_sum_exp = top + std::log(sum);
  for (size_t n = 0; n < read.size(); ++n)
    for (size_t i = 0; i < d; ++i)
      result.out[i] += std::exp(scores[n] - top) / sum * double{values[read[n] * d + i]};
  return result;
}

}  // namespace lectern::test
