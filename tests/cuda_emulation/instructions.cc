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

struct Operands {
  uint32_t a[4], b[2];
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

}  // namespace

namespace {

void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], ToFloat to_float) {
  const auto half_of = [to_float](uint32_t pair, int i) {
    return to_float(static_cast<uint16_t>(pair >> (16 * i)));
  };
  put(Operands{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}});
  emulation::warp_barrier();
  for (int i = 0; i < 4; ++i) {
    const int row = lane() / 4 + (i / 2) * 8, col = lane() % 4 * 2 + i % 2;
    float sum = 0;
    for (int k = 0; k < 16; ++k) {
      // A[row][k] is half k%2 of register (row/8) + 2*(k/8) of lane (row%8)*4 + k%8/2.
      const auto of_a = get<Operands>(row % 8 * 4 + k % 8 / 2);
      const auto of_b = get<Operands>(col * 4 + k % 8 / 2);
      sum += half_of(of_a.a[row / 8 + 2 * (k / 8)], k % 2) * half_of(of_b.b[k / 8], k % 2);
    }
    d[i] += sum;
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
