// Products of a matrix as it lies in the model file with a few tokens, limited by reading the matrix once.
//
// A block takes 16 rows; its warps share out the columns in chunks. A warp copies a chunk of the rows to
// shared memory by whole 16-byte pieces (blocks of most formats begin at any even byte), two chunks ahead,
// and multiplies with tensor cores: small whole numbers q are exact in bfloat16, products are summed in
// float, and the scales of each group of weights are applied to the sums. (F32 and F16 are rounded to
// bfloat16, as expand does.) Eight tokens cost hardly more than one. The warps' sums are added in a fixed
// order.
#include <cstring>

#include "kernels/cuda/block_formats.cuh"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/vectors.cuh"

namespace lectern::cuda {
namespace {

constexpr int kRows = 16;
constexpr int kMostWarps = 8;
constexpr int kStages = 2;

template <DType kType>
constexpr bool kPlain = kBlockElements<kType> == 1;

template <DType kType>
struct Chunk {
  static constexpr int kWeights = kPlain<kType> ? 256 / kBlockBytes<kType> : 256;
  static constexpr int kBytes = kWeights / kBlockElements<kType> * kBlockBytes<kType>;
  // Pieces of 16 bytes that a row's chunk touches wherever it begins; odd, so that eight rows lie in
  // different banks.
  static constexpr int kPieces = (kBytes + (16 - kAlignment<kType>)+15) / 16 | 1;
  static constexpr int kRowBytes = 16 * kPieces;
  static constexpr int kStageBytes = kRows * kRowBytes;
};

// Copies chunk `chunk` of the 16 rows that begin at w + row_at[i]. Pieces lie as they do in memory: byte b of
// a row's chunk that begins at `start` comes to (start % 16 + b) of its place in the stage.
template <DType kType>
__device__ __forceinline__ void copy_chunk(const std::byte* w, const int64_t* row_at, int64_t row_bytes,
                                           int chunk, std::byte* stage, int lane) {
  using C = Chunk<kType>;
  const int64_t from = int64_t{chunk} * C::kBytes;
  const int64_t n_bytes = min(row_bytes - from, int64_t{C::kBytes});
  for (int i = lane; i < kRows * C::kPieces; i += 32) {
    const int64_t start = row_at[i / C::kPieces] + from;
    const int64_t at = start / 16 * 16 + i % C::kPieces * 16;
    const int64_t left = start + n_bytes - at;  // the matrix may end with it
    if (left > 0) cp_async_16(stage + 16 * i, w + at, static_cast<int>(min(left, int64_t{16})));
  }
}

__device__ __forceinline__ uint32_t subtract_bf16(uint32_t x, uint32_t y) {
  __nv_bfloat162 a, b;
  std::memcpy(&a, &x, sizeof(a));
  std::memcpy(&b, &y, sizeof(b));
  a = __hsub2(a, b);
  std::memcpy(&x, &a, sizeof(x));
  return x;
}

// Four weights, or their q - offset, as bfloat16. 0x43 before a byte b < 128 is the bfloat16 128 + b.
template <DType kType>
__device__ __forceinline__ void load_weights(const std::byte* row, int k16, int quad, uint32_t (&pairs)[2]) {
  if constexpr (kType == DType::kBF16) {
    const auto v = load_as<8, uint2>(row + 8 * (4 * k16 + quad));
    pairs[0] = v.x;
    pairs[1] = v.y;
  } else if constexpr (kType == DType::kF16) {
    const auto v = load_as<8, uint2>(row + 8 * (4 * k16 + quad));
    const auto wide = [](uint32_t bits) {
      return pack_bf16(half_bits_to_float(static_cast<uint16_t>(bits)),
                       half_bits_to_float(static_cast<uint16_t>(bits >> 16)));
    };
    pairs[0] = wide(v.x);
    pairs[1] = wide(v.y);
  } else if constexpr (kType == DType::kF32) {
    const auto v = load_as<16, float4>(row + 16 * (4 * k16 + quad));
    pairs[0] = pack_bf16(v.x, v.y);
    pairs[1] = pack_bf16(v.z, v.w);
  } else {
    using F = Format<kType>;
    constexpr int kSixteens = kBlockElements<kType> / 16;
    const auto& block =
        *reinterpret_cast<const typename F::Block*>(row + k16 / kSixteens * kBlockBytes<kType>);
    Bytes4 q = quants4(block, k16 % kSixteens * 4 + quad);
    if constexpr (F::kSigned) {  // 128 + the low seven bits, less 128 or 256
      const Bytes4 sign = q & 0x80808080u;
      q &= 0x7f7f7f7fu;
      pairs[0] = subtract_bf16(__byte_perm(q, 0x43434343u, 0x4140), __byte_perm(sign, 0x43434343u, 0x4140));
      pairs[1] = subtract_bf16(__byte_perm(q, 0x43434343u, 0x4342), __byte_perm(sign, 0x43434343u, 0x4342));
    } else {
      constexpr uint32_t kBase = (0x4300u + F::kOffset) * 0x00010001u;
      pairs[0] = subtract_bf16(__byte_perm(q, 0x43434343u, 0x4140), kBase);
      pairs[1] = subtract_bf16(__byte_perm(q, 0x43434343u, 0x4342), kBase);
    }
  }
}

// sums[row l/4 + 8 (i/2)][token l%4*2 + i%2] += the products of a chunk, in sums[i] of lane l (the layout of
// mma's D). Lane l reads rows l/4 and l/4 + 8, and token l/4 from x (null: no such token). Of each 16 columns
// it reads 4 (l%4) .. + 3: which columns stand at which k of the instruction does not matter to a sum, as
// long as weights and tokens agree.
template <DType kType>
__device__ __forceinline__ void multiply_chunk(const std::byte* stage, const int64_t* row_at, int chunk,
                                               const __nv_bfloat16* x, int cols, int lane, float (&sums)[4]) {
  using C = Chunk<kType>;
  const int quad = lane % 4, first = chunk * C::kWeights;
  const std::byte* rows[2];
  for (int h = 0; h < 2; ++h) {
    const int row = lane / 4 + 8 * h;
    rows[h] = stage + row * C::kRowBytes + (row_at[row] + int64_t{chunk} * C::kBytes) % 16;
  }
  [[maybe_unused]] float of_group[4] = {}, of_x[4] = {};
  LECTERN_UNROLL
  for (int k16 = 0; k16 < C::kWeights / 16; ++k16) {
    if (first + 16 * k16 >= cols) break;  // for the whole warp
    const int col = first + 16 * k16 + 4 * quad;
    const bool inside = !kPlain<kType> || col < cols;  // blocks are whole
    uint32_t a[4] = {}, b[2] = {};
    for (int h = 0; h < 2; ++h) {
      uint32_t pairs[2] = {};
      if (inside) load_weights<kType>(rows[h], k16, quad, pairs);
      a[h] = pairs[0];
      a[h + 2] = pairs[1];
    }
    if (x != nullptr && inside) {
      const auto v = load_as<8, uint2>(x + col);
      b[0] = v.x;
      b[1] = v.y;
    }
    if constexpr (kPlain<kType>) {
      mma_m16n8k16_bf16(sums, a, b);
    } else {
      using F = Format<kType>;
      constexpr uint32_t kOnes[4] = {0x3f803f80u, 0x3f803f80u, 0x3f803f80u, 0x3f803f80u};
      constexpr int kSixteens = kBlockElements<kType> / 16;
      mma_m16n8k16_bf16(of_group, a, b);
      if constexpr (F::kMinimum) mma_m16n8k16_bf16(of_x, kOnes, b);
      if ((k16 + 1) * 16 % F::kGroup != 0) continue;
      for (int h = 0; h < 2; ++h) {
        const auto& block =
            *reinterpret_cast<const typename F::Block*>(rows[h] + k16 / kSixteens * kBlockBytes<kType>);
        const Scales s = scales_of(block, k16 % kSixteens);
        for (int i = 0; i < 2; ++i) {
          sums[2 * h + i] += s.scale * of_group[2 * h + i];
          if constexpr (F::kMinimum) sums[2 * h + i] -= s.minimum * of_x[i];
        }
      }
      for (int i = 0; i < 4; ++i) of_group[i] = of_x[i] = 0.0f;
    }
  }
}

template <DType kType>
__global__ void __launch_bounds__(32 * kMostWarps)
    few_tokens_kernel(FewTokensArgs args, int64_t row_bytes, int n_stages) {
  using C = Chunk<kType>;
  __shared__ int64_t row_at[kRows];
  __shared__ float partial[kMostWarps][kRows * kFewTokens];
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int n_warps = static_cast<int>(blockDim.x / 32);
  const int first_row = static_cast<int>(blockIdx.x) * kRows;
  if (threadIdx.x < kRows) {
    // Rows past the end are computed as the last one, and not written.
    const int row = min(first_row + static_cast<int>(threadIdx.x), args.n_rows - 1);
    row_at[threadIdx.x] = (args.rows == nullptr ? row : args.rows[row]) * row_bytes;
  }
  __syncthreads();

  const auto* w = static_cast<const std::byte*>(args.w);
  const int n_chunks = (args.cols + C::kWeights - 1) / C::kWeights;
  const __nv_bfloat16* x = lane / 4 < args.n ? args.x + int64_t{lane / 4} * args.cols : nullptr;
  std::byte* stages = dynamic_shared() + warp * n_stages * C::kStageBytes;
  float sums[4] = {};
  for (int i = 0; i < kStages; ++i) {
    const int chunk = warp + i * n_warps;
    if (chunk < n_chunks) copy_chunk<kType>(w, row_at, row_bytes, chunk, stages + i * C::kStageBytes, lane);
    cp_async_commit();  // a group each time, empty or not, so that cp_async_wait counts right
  }
  int i = 0;
  for (int chunk = warp; chunk < n_chunks; chunk += n_warps) {
    cp_async_wait<kStages - 1>();
    __syncwarp();  // the other lanes' copies
    std::byte* stage = stages + i * C::kStageBytes;
    multiply_chunk<kType>(stage, row_at, chunk, x, args.cols, lane, sums);
    __syncwarp();  // all have read it
    const int next = chunk + kStages * n_warps;
    if (next < n_chunks) copy_chunk<kType>(w, row_at, row_bytes, next, stage, lane);
    cp_async_commit();
    i = (i + 1) % kStages;
  }

  for (int k = 0; k < 4; ++k) partial[warp][32 * k + lane] = sums[k];
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < kRows * kFewTokens; at += static_cast<int>(blockDim.x)) {
    const int row = first_row + at % 32 / 4 + at / 64 * 8, token = at % 4 * 2 + at / 32 % 2;
    if (row >= args.n_rows || token >= args.n) continue;
    float sum = 0;
    for (int k = 0; k < n_warps; ++k) sum += partial[k][at];
    const int64_t to = token * args.y_stride + row;
    if (args.y_bf16 != nullptr)
      args.y_bf16[to] = __float2bfloat16_rn(sum);
    else
      args.y[to] = args.accumulate ? args.y[to] + sum : sum;
  }
}

template <DType kType>
void launch_few_tokens(const FewTokensArgs& args, cudaStream_t stream) {
  using C = Chunk<kType>;
  const int64_t row_bytes = int64_t{args.cols} / kBlockElements<kType> * kBlockBytes<kType>;
  // As many warps as share the chunks out evenly.
  const int n_chunks = (args.cols + C::kWeights - 1) / C::kWeights;
  const int rounds = (n_chunks + kMostWarps - 1) / kMostWarps;
  const int n_warps = (n_chunks + rounds - 1) / rounds;
  const int n_stages = rounds < kStages ? rounds : kStages;
  launch(few_tokens_kernel<kType>, dim3(static_cast<unsigned>((args.n_rows + kRows - 1) / kRows)),
         dim3(static_cast<unsigned>(32 * n_warps)), static_cast<size_t>(n_warps * n_stages * C::kStageBytes),
         stream, args, row_bytes, n_stages);
}

}  // namespace

void matmul_few_tokens(const FewTokensArgs& args, cudaStream_t stream) {
  if (args.n_rows <= 0) return;
  for (int first = 0; first < args.n; first += kFewTokens) {
    FewTokensArgs part = args;
    part.n = args.n - first < kFewTokens ? args.n - first : kFewTokens;
    part.x += int64_t{first} * args.cols;
    const int64_t at = first * args.y_stride;
    if (args.y_bf16 != nullptr)
      part.y_bf16 += at;
    else
      part.y += at;
    with_dtype(args.dtype, [&]<DType kType>() { launch_few_tokens<kType>(part, stream); });
  }
}

}  // namespace lectern::cuda
