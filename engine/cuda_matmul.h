// Matrix products on a CUDA device: y (+)= x W^T with W as it lies in the model file. A few tokens read the
// quantised weights themselves (memory is the limit); more of them meet W expanded to bfloat16, in cuBLASLt.
// Not thread-safe; asynchronous on one stream.
#pragma once

#include <cublasLt.h>
#include <cuda_bf16.h>

#include <cstdint>
#include <map>
#include <tuple>

#include "engine/cuda_memory.h"
#include "kernels/common/types.h"

namespace lectern {

// W[rows, cols] on the device.
struct CudaMatrix {
  DType dtype = DType::kF32;
  int rows = 0, cols = 0;
  const std::byte* data = nullptr;      // as in the file
  const __nv_bfloat16* bf16 = nullptr;  // expanded, where there is memory to keep it so
  const uint8_t* e4m3 = nullptr;        // BackendOptions::fp8, with the scale of each row in `scales`
  const float* scales = nullptr;        // [rows]
};

// Where a product goes: floats, or bfloat16 that the next product reads.
struct ProductRows {
  float* f32 = nullptr;
  __nv_bfloat16* bf16 = nullptr;
  int64_t stride = 0;
  bool accumulate = false;  // f32 only
};

class CudaMatmul {
 public:
  explicit CudaMatmul(cudaStream_t stream);
  ~CudaMatmul();
  CudaMatmul(const CudaMatmul&) = delete;
  CudaMatmul& operator=(const CudaMatmul&) = delete;

  // y[n, w.rows] (+)= x[n, w.cols] W^T
  void run(const CudaMatrix& w, const __nv_bfloat16* x, int n, const ProductRows& y);
  // y[n, n_rows] = x W[rows]^T for some rows of W, by their numbers on the device.
  void run_rows(const CudaMatrix& w, const int32_t* rows, int n_rows, const __nv_bfloat16* x, int n,
                float* y);
  // Room for the expanded form of the largest matrix that has none of its own; before the first run.
  void reserve_expansion(size_t elements) { expanded_.at_least(elements); }
  // Room for n rows of 8-bit activations; before the first run.
  void reserve_e4m3(size_t n, size_t cols) {
    x_e4m3_.at_least(n * cols);
    x_scales_.at_least(n);
  }

 private:
  // What cuBLASLt needs to know of a product, found once for each shape.
  struct Plan {
    cublasLtMatmulDesc_t desc = nullptr;
    cublasLtMatrixLayout_t w = nullptr, x = nullptr, y = nullptr;
    cublasLtMatmulAlgo_t algo = {};
  };
  using Shape =
      std::tuple<int, int, int, int64_t, bool, bool>;  // rows, cols, n, stride, floats out, 8 bits in

  const Plan& plan(const Shape& shape);
  void forget_plans();

  cudaStream_t stream_;
  cublasLtHandle_t blas_ = nullptr;
  DeviceMemory workspace_;
  DeviceBuffer<__nv_bfloat16> expanded_{"an expanded matrix"};
  DeviceBuffer<uint8_t> x_e4m3_{"8-bit activations"};
  DeviceBuffer<float> x_scales_{"8-bit activations"};
  std::map<Shape, Plan> plans_;
};

}  // namespace lectern
