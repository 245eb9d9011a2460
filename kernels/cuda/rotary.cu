// Rotary position embedding, and what it turns: queries for attention, keys (and values, unturned) for the
// pages of the KV cache. NEOX layout: number i of a head turns with number i + d/2.
#include <cstring>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"

namespace lectern::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

__device__ void fill(const RotaryTable& table, const Rotation& rotation, int pair, float* cos_sin) {
  double sine, cosine;
  sincos(rotation.position * table.inverse_frequency[pair], &sine, &cosine);
  cos_sin[pair] = static_cast<float>(cosine * rotation.magnitude);
  cos_sin[table.n_pairs + pair] = static_cast<float>(sine * rotation.magnitude);
}

// A thread a pair of a row.
__global__ void fill_rotations_kernel(RotaryTable table, const int32_t* positions, int n, Rotations out) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t row = index / table.n_pairs;
  if (row >= n) return;
  const int pair = static_cast<int>(index % table.n_pairs);
  const int64_t at = row * 2 * table.n_pairs;
  const int position = positions[row];
  fill(table, key_rotation(table, position), pair, out.key + at);
  for (int chunk = 0; chunk < kKeyChunks; ++chunk)
    if (out.query[chunk] != nullptr)
      fill(table, query_rotation(table, position, static_cast<KeyChunk>(chunk)), pair, out.query[chunk] + at);
}

// A lane's part of a head: numbers 4 lane .. 4 lane + 3, and those d/2 further on. Lanes from d/8 on have
// none.
struct HeadPart {
  float low[4], high[4];
};

__device__ __forceinline__ void load4(const float* from, float (&to)[4]) {
  const float4 v = *reinterpret_cast<const float4*>(from);
  to[0] = v.x;
  to[1] = v.y;
  to[2] = v.z;
  to[3] = v.w;
}

__device__ __forceinline__ HeadPart load(const float* head, int half, int lane) {
  HeadPart part;
  load4(head + 4 * lane, part.low);
  load4(head + half + 4 * lane, part.high);
  return part;
}

// (head + bias) * scale; either may be null.
__device__ __forceinline__ HeadPart load(const float* head, const float* bias, const float* scale, int half,
                                         int lane) {
  HeadPart part = load(head, half, lane);
  if (bias != nullptr) {
    const HeadPart offsets = load(bias, half, lane);
    for (int i = 0; i < 4; ++i) {
      part.low[i] += offsets.low[i];
      part.high[i] += offsets.high[i];
    }
  }
  if (scale != nullptr) {
    const HeadPart factors = load(scale, half, lane);
    for (int i = 0; i < 4; ++i) {
      part.low[i] *= factors.low[i];
      part.high[i] *= factors.high[i];
    }
  }
  return part;
}

__device__ __forceinline__ HeadPart rotate(const HeadPart& x, const float* cos_sin, int half, int lane) {
  HeadPart cosines, result;  // and sines
  load4(cos_sin + 4 * lane, cosines.low);
  load4(cos_sin + half + 4 * lane, cosines.high);
  for (int i = 0; i < 4; ++i) {
    const float cosine = cosines.low[i], sine = cosines.high[i];
    result.low[i] = x.low[i] * cosine - x.high[i] * sine;
    result.high[i] = x.high[i] * cosine + x.low[i] * sine;
  }
  return result;
}

__device__ __forceinline__ void store4(const float (&x)[4], __half* to) {
  __half2 pairs[2] = {__floats2half2_rn(x[0], x[1]), __floats2half2_rn(x[2], x[3])};
  uint2 bits;
  std::memcpy(&bits, pairs, sizeof(bits));
  *reinterpret_cast<uint2*>(to) = bits;
}

__device__ __forceinline__ void store_halves(const HeadPart& x, __half* head, int half, int lane) {
  store4(x.low, head + 4 * lane);
  store4(x.high, head + half + 4 * lane);
}

__device__ __forceinline__ uint32_t to_bytes(const float (&x)[4], float inverse) {
  uint32_t bytes = 0;
  for (int i = 0; i < 4; ++i)
    bytes |= (static_cast<uint32_t>(__float2int_rn(x[i] * inverse)) & 0xffu) << (8 * i);
  return bytes;
}

// As KernelTable::to_int8 says. All lanes take part, those without numbers with zeros.
__device__ __forceinline__ void store_bytes(const HeadPart& x, bool mine, int8_t* head, float* scale,
                                            int half, int lane) {
  constexpr float kSmallestKv = 1e-30f;  // below, numbers count as 0: 127 / x must stay finite
  float largest = 0.0f, poison = 0.0f;   // 0 or NaN
  if (mine) {
    for (int i = 0; i < 4; ++i) {
      largest = fmaxf(largest, fmaxf(fabsf(x.low[i]), fabsf(x.high[i])));
      poison += x.low[i] * 0.0f + x.high[i] * 0.0f;
    }
  }
  largest = warp_max(largest);
  poison = warp_sum(poison);
  const bool nothing = largest < kSmallestKv;
  const float inverse = nothing ? 0.0f : 127.0f / largest;
  if (lane == 0) *scale = (nothing ? 0.0f : largest / 127.0f) + poison;
  if (!mine) return;
  const bool lost = poison != 0.0f;  // true of NaN
  *reinterpret_cast<uint32_t*>(head + 4 * lane) = lost ? 0 : to_bytes(x.low, inverse);
  *reinterpret_cast<uint32_t*>(head + half + 4 * lane) = lost ? 0 : to_bytes(x.high, inverse);
}

__device__ __forceinline__ void store(const HeadPart& x, bool mine, const KvLayer& kv, const KvSide& side,
                                      int kv_head, int32_t page, int slot, int lane) {
  const int d = kv.head_dim;
  std::byte* block = kv.pages + static_cast<size_t>(page) * kv.page_bytes + side.offset +
                     static_cast<size_t>(kv_head) * side.head_bytes;
  if (side.type == KvType::kInt8) {
    store_bytes(x, mine, reinterpret_cast<int8_t*>(block) + slot * d,
                reinterpret_cast<float*>(block + kPageTokens * d) + slot, d / 2, lane);
  } else if (mine) {
    store_halves(x, reinterpret_cast<__half*>(block) + slot * d, d / 2, lane);
  }
}

// A warp a head of a row: the query heads, those of the keys, those of the values.
__global__ void rotate_and_store_kernel(StoreArgs args) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int n_kv_heads = args.kv.n_kv_heads, d = args.kv.head_dim, half = d / 2;
  const int n_heads = args.n_heads + 2 * n_kv_heads;
  const int64_t index = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  const int64_t row = index / n_heads;
  if (row >= args.n) return;  // the whole warp
  int head = static_cast<int>(index % n_heads);
  const float* from = args.qkv + index * d;
  const bool mine = lane < d / 8;

  // Of this head, from what is there of all.
  const auto own = [&](const float* vector) { return vector == nullptr ? nullptr : vector + head * d; };
  if (head < args.n_heads) {
    if (!mine) return;
    const HeadPart x = load(from, own(args.q_bias), own(args.q_scale), half, lane);
    for (int chunk = 0; chunk < kKeyChunks; ++chunk) {
      if (args.q[chunk] == nullptr) continue;
      const float* cos_sin = args.rotations.query[chunk];
      if (cos_sin == nullptr) cos_sin = args.rotations.key;
      store_halves(rotate(x, cos_sin + row * d, half, lane), args.q[chunk] + (row * args.n_heads + head) * d,
                   half, lane);
    }
    return;
  }

  head -= args.n_heads;
  const bool is_key = head < n_kv_heads;
  if (!is_key) head -= n_kv_heads;
  HeadPart x = {};
  if (mine) {
    x = load(from, own(is_key ? args.k_bias : args.v_bias), is_key ? own(args.k_scale) : nullptr, half, lane);
    if (is_key) x = rotate(x, args.rotations.key + row * d, half, lane);
  }
  store(x, mine, args.kv, is_key ? args.kv.k : args.kv.v, head, args.pages[row],
        args.positions[row] % kPageTokens, lane);
}

}  // namespace

void fill_rotations(const RotaryTable& table, const int32_t* positions, int n, const Rotations& out,
                    cudaStream_t stream) {
  const int64_t blocks = (int64_t{n} * table.n_pairs + kThreads - 1) / kThreads;
  if (n > 0)
    launch(fill_rotations_kernel, dim3(static_cast<unsigned>(blocks)), kThreads, 0, stream, table, positions,
           n, out);
}

void rotate_and_store(const StoreArgs& args, cudaStream_t stream) {
  const int64_t heads = int64_t{args.n} * (args.n_heads + 2 * args.kv.n_kv_heads);
  if (args.n > 0)
    launch(rotate_and_store_kernel, dim3(static_cast<unsigned>((heads + kWarps - 1) / kWarps)), kThreads, 0,
           stream, args);
}

}  // namespace lectern::cuda
