// The warp-wide instructions, by the layouts of their fragments in the PTX manual ("Matrix fragments for
// mma.m16n8k16", "ldmatrix").
#include <array>

#include "tests/cuda_emulation/include/cuda_fp16.h"
#include "tests/cuda_emulation/include/cuda_runtime.h"

namespace lectern::cuda {
namespace {

using emulation::get;
using emulation::lane;
using emulation::put;

using ToFloat = float (*)(uint16_t);

// A lane's halves, each converted once.
struct Operands {
  float a[8], b[4];
};

void load_matrices(uint32_t (&r)[4], const void* row, bool transposed) {
  // Threads 8m to 8m + 7 name the eight rows of 16 bytes of matrix m.
  put(row);
  emulation::warp_barrier();
  for (int m = 0; m < 4; ++m) {
    uint16_t pair[2];
    for (int i = 0; i < 2; ++i) {
      int y = lane() / 4, x = lane() % 4 * 2 + i;
      if (transposed) std::swap(x, y);
      const auto* from = get<const uint16_t*>(8 * m + y);
      pair[i] = from[x];
    }
    r[m] = static_cast<uint32_t>(pair[0]) | static_cast<uint32_t>(pair[1]) << 16;
  }
  emulation::warp_barrier();
}

void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], ToFloat to_float) {
  Operands own;
  for (int i = 0; i < 8; ++i) own.a[i] = to_float(static_cast<uint16_t>(a[i / 2] >> (16 * (i % 2))));
  for (int i = 0; i < 4; ++i) own.b[i] = to_float(static_cast<uint16_t>(b[i / 2] >> (16 * (i % 2))));
  put(own);
  emulation::warp_barrier();
  // A[row][k] is half k%2 of register (row/8) + 2*(k/8) of lane (row%8)*4 + k%8/2, B[k][col] of register k/8
  // of lane col*4 + k%8/2.
  for (int pair = 0; pair < 4; ++pair) {
    const auto of_a = get<Operands>(lane() / 4 * 4 + pair);
    for (int j = 0; j < 2; ++j) {
      const auto of_b = get<Operands>((lane() % 4 * 2 + j) * 4 + pair);
      for (int upper = 0; upper < 2; ++upper)
        for (int k = 0; k < 4; ++k)  // k%2, and k/2 for the registers of columns 8 to 15
          d[2 * upper + j] += of_a.a[2 * (upper + 2 * (k / 2)) + k % 2] * of_b.b[2 * (k / 2) + k % 2];
    }
  }
  emulation::warp_barrier();
}

}  // namespace

void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma(d, a, b, half_to_float);
}

void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma(d, a, b, bf16_to_float);
}

void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  load_matrices(r, row, false);
}

void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  load_matrices(r, row, true);
}

}  // namespace lectern::cuda
