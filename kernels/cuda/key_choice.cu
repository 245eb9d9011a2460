// What blocks of queries read for wanted columns and diagonals (engine/vertical_slash.h): the pages that a
// diagonal touches, and the columns that lie elsewhere, gathered once for all blocks of a sequence.
#include "kernels/cuda/attention_walk.cuh"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/instructions.cuh"

namespace lectern::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kPageWords = kPageTokens / 32;
static_assert(kPageWords == 4);  // a uint4

// The sum of x over the threads before this one; `total` over all.
__device__ int sum_before(int x, int& total) {
  __shared__ int sums[kWarps];
  const auto warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  int sum = x;  // up to this lane
  for (int delta = 1; delta < 32; delta *= 2) {
    const int other = __shfl_sync(0xffffffffu, sum, max(lane - delta, 0));
    if (lane >= delta) sum += other;
  }
  __syncthreads();  // sums may still be read from the last call
  if (lane == 31) sums[warp] = sum;
  __syncthreads();
  int before = sum - x;
  total = 0;
  for (int i = 0; i < kWarps; ++i) {
    if (i < warp) before += sums[i];
    total += sums[i];
  }
  return before;
}

// A KV head a block, a page a thread.
__global__ void list_columns_kernel(GatherColumnsArgs args) {
  const auto kv_head = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  int32_t* const positions = gathered_positions(args.gathered, args.part, args.kv.n_kv_heads, kv_head);
  const auto* const columns = reinterpret_cast<const uint4*>(args.columns) + int64_t{kv_head} * args.n_pages;
  uint32_t* const dense = args.dense + int64_t{kv_head} * args.gathered.words;
  for (int word = thread; word < args.gathered.words; word += kThreads) dense[word] = 0;
  __syncthreads();
  int n = 0;
  for (int chunk = 0; chunk < args.n_pages; chunk += args.chunk_pages) {
    const int end = min(chunk + args.chunk_pages, args.n_pages);
    for (int first = chunk; first < end; first += kThreads) {
      const int page = first + thread;
      uint4 bits = {0, 0, 0, 0};
      if (page < end) bits = columns[page];
      uint32_t words[kPageWords] = {bits.x, bits.y, bits.z, bits.w};
      int count = 0;
      for (const uint32_t word : words) count += __popc(word);
      if (2 * count >= kPageTokens) {
        atomicOr(&dense[page / 32], 1u << page % 32);
        count = 0;
      }
      int total = 0;
      int slot = n + sum_before(count, total);
      for (int i = 0; count > 0 && i < kPageWords; ++i)
        for (uint32_t word = words[i]; word != 0; word &= word - 1)
          positions[slot++] = page * kPageTokens + 32 * i + __ffs(static_cast<int>(word)) - 1;
      n += total;
    }
    for (; n % kColumnTile != 0; ++n)
      if (thread == 0) positions[n] = -1;
  }
  if (thread == 0) args.n_tiles[kv_head] = n / kColumnTile;
}

// A tile and KV head a block: 8 bytes a thread, and the scales of bytes.
__device__ void copy_side(const GatherColumnsArgs& args, const KvSide& from, const KvSide& to,
                          const int32_t* positions, int tile, int kv_head) {
  const int d = args.kv.head_dim, row_bytes = from.type == KvType::kInt8 ? d : 2 * d;
  std::byte* const out = const_cast<std::byte*>(
      head_of(args.gathered.kv, to, first_gathered_page(args.gathered, args.part) + tile / 2, kv_head));
  const int first = tile % 2 * kColumnTile, pieces = row_bytes / 8;
  for (int i = static_cast<int>(threadIdx.x); i < kColumnTile * pieces; i += kThreads) {
    const int row = i / pieces, at = i % pieces * 8, position = positions[row];
    uint2 bits = {0, 0};  // no NaN, whatever lay there
    if (position >= 0)
      bits = *reinterpret_cast<const uint2*>(
          head_of(args.kv, from, args.pages[position / kPageTokens], kv_head) +
          position % kPageTokens * row_bytes + at);
    *reinterpret_cast<uint2*>(out + (first + row) * row_bytes + at) = bits;
  }
  if (from.type != KvType::kInt8) return;
  if (const auto row = static_cast<int>(threadIdx.x); row < kColumnTile) {
    float scale = 0;
    if (const int position = positions[row]; position >= 0)
      scale =
          reinterpret_cast<const float*>(head_of(args.kv, from, args.pages[position / kPageTokens], kv_head) +
                                         kPageTokens * d)[position % kPageTokens];
    reinterpret_cast<float*>(out + kPageTokens * d)[first + row] = scale;
  }
}

__global__ void copy_columns_kernel(GatherColumnsArgs args) {
  const auto tile = static_cast<int>(blockIdx.x), kv_head = static_cast<int>(blockIdx.y);
  if (tile >= args.n_tiles[kv_head]) return;
  const int32_t* positions =
      gathered_positions(args.gathered, args.part, args.kv.n_kv_heads, kv_head) + tile * kColumnTile;
  copy_side(args, args.kv.k, args.gathered.kv.k, positions, tile, kv_head);
  copy_side(args, args.kv.v, args.gathered.kv.v, positions, tile, kv_head);
}

// Of a warp: the tiles with a key that the task reads alone.
__device__ void list_tiles(const ChooseKeysArgs& args, const AttentionTask& task, int kv_head,
                           const uint32_t* whole, int64_t at) {
  const GatheredColumns& gathered = args.attention.gathered;
  const int32_t* const positions =
      gathered_positions(gathered, task.part, args.attention.kv.n_kv_heads, kv_head);
  const auto lane = static_cast<int>(threadIdx.x);
  int n = 0;
  for (int tile = 0; tile < args.n_tiles[kv_head]; ++tile) {
    const int32_t* const of_tile = positions + tile * kColumnTile;
    bool any = false;
    for (int i = lane; i < kColumnTile; i += 32) any |= is_read_alone(of_tile[i], task, whole);
    if (__ballot_sync(0xffffffffu, any) == 0) continue;
    if (lane == 0) gathered.tiles[at * gathered.max_tiles + n] = tile;
    ++n;
  }
  if (lane == 0) gathered.n_tiles[at] = n;
}

// A task and KV head a block. Shared memory: a bit a page.
__global__ void choose_kernel(ChooseKeysArgs args) {
  const auto kv_head = static_cast<int>(blockIdx.y), thread = static_cast<int>(threadIdx.x);
  const AttentionTask task = args.attention.tasks[blockIdx.x];
  const GatheredColumns& gathered = args.attention.gathered;
  const int n_kv_heads = args.attention.kv.n_kv_heads;
  const int first = task.first_position, last = first + task.n_queries - 1;
  const int own = first / kPageTokens, end = last / kPageTokens + 1;
  auto* const whole = reinterpret_cast<uint32_t*>(dynamic_shared());
  const auto read = [&](int page) { atomicOr(&whole[page / 32], 1u << page % 32); };
  const uint32_t* const dense = args.dense + int64_t{kv_head} * gathered.words;
  for (int i = thread; i < gathered.words; i += kThreads) whole[i] = dense[i];
  __syncthreads();
  for (int page = own + thread; page < end; page += kThreads) read(page);
  const uint32_t* const diagonals = args.diagonals + int64_t{kv_head} * args.diagonal_words;
  for (int i = thread; i <= last / 32; i += kThreads)
    for (uint32_t word = diagonals[i]; word != 0; word &= word - 1) {
      const int distance = 32 * i + __ffs(static_cast<int>(word)) - 1;
      if (distance > last) break;
      const int to = (last - distance) / kPageTokens;
      for (int page = max(first - distance, 0) / kPageTokens; page <= to; ++page) read(page);
    }
  __syncthreads();

  const int64_t at = int64_t{task.sparse} * n_kv_heads + kv_head;
  for (int i = thread; i < gathered.words; i += kThreads) gathered.whole[at * gathered.words + i] = whole[i];
  if (thread >= 32) return;
  const PageLists& lists = args.attention.sparse;
  const int n = list_pages(
      end, [&](int page) { return has_bit(whole, page); }, lists.lists + at * lists.max_pages);
  if (thread == 0) lists.n[at] = n;
  list_tiles(args, task, kv_head, whole, at);
}

}  // namespace

void gather_columns(const GatherColumnsArgs& args, cudaStream_t stream) {
  const auto n_kv_heads = static_cast<unsigned>(args.kv.n_kv_heads);
  launch(list_columns_kernel, dim3(n_kv_heads), kThreads, 0, stream, args);
  launch(copy_columns_kernel, dim3(static_cast<unsigned>(args.gathered.max_tiles), n_kv_heads), kThreads, 0,
         stream, args);
}

void choose_keys(const ChooseKeysArgs& args, cudaStream_t stream) {
  if (args.attention.n_tasks == 0) return;
  launch(choose_kernel,
         dim3(static_cast<unsigned>(args.attention.n_tasks),
              static_cast<unsigned>(args.attention.kv.n_kv_heads)),
         kThreads, static_cast<size_t>(args.attention.gathered.words) * sizeof(uint32_t), stream, args);
}

}  // namespace lectern::cuda
