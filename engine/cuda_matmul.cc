#include "engine/cuda_matmul.h"

#include <string>

#include "base/error.h"
#include "kernels/cuda/cuda_kernels.h"

namespace lectern {
namespace {

// NVIDIA asks for 32 MiB on Hopper (cuBLAS manual, "cublasSetWorkspace").
constexpr size_t kWorkspaceBytes = size_t{32} << 20;
// Up to here it is cheaper to read quantised weights once for every cuda::kFewTokens tokens than to expand
// them: what is expanded is written and read in four times its size.
constexpr int kFewTokensQuantised = 4 * cuda::kFewTokens;
// Ragged batches have many lengths; their plans are small, but not to be kept forever.
constexpr size_t kMaxPlans = 2048;

void check_blas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorCode::kUnavailable, std::string("cuBLASLt cannot ") + what + ": " +
                                           cublasLtGetStatusString(status) +
                                           "; --device cpu does without it");
}

}  // namespace

CudaMatmul::CudaMatmul(cudaStream_t stream)
    : stream_(stream), workspace_(kWorkspaceBytes, "the workspace of matrix products") {
  check_blas(cublasLtCreate(&blas_), "start");
}

CudaMatmul::~CudaMatmul() {
  forget_plans();
  cublasLtDestroy(blas_);
}

void CudaMatmul::forget_plans() {
  for (const auto& [shape, plan] : plans_) {
    cublasLtMatmulDescDestroy(plan.desc);
    for (cublasLtMatrixLayout_t layout : {plan.w, plan.x, plan.y}) cublasLtMatrixLayoutDestroy(layout);
  }
  plans_.clear();
}

// cuBLAS counts in columns: row-major y[n, rows] is its [rows, n], and y = x W^T its y = op(W) x with W
// stored as [cols, rows] and transposed.
const CudaMatmul::Plan& CudaMatmul::plan(const Shape& shape) {
  if (const auto found = plans_.find(shape); found != plans_.end()) return found->second;
  if (plans_.size() >= kMaxPlans) forget_plans();
  const auto [rows, cols, n, stride, floats, e4m3] = shape;
  Plan plan;
  check_blas(cublasLtMatmulDescCreate(&plan.desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describe a product");
  const cublasOperation_t transposed = CUBLAS_OP_T;
  check_blas(
      cublasLtMatmulDescSetAttribute(plan.desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof(transposed)),
      "describe a product");
  if (e4m3) {
    // A scale for each row of W and for each token (cuBLAS manual, "Outer vector scaling for FP8").
    const cublasLtMatmulMatrixScale_t mode = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    for (const auto attribute : {CUBLASLT_MATMUL_DESC_A_SCALE_MODE, CUBLASLT_MATMUL_DESC_B_SCALE_MODE})
      check_blas(cublasLtMatmulDescSetAttribute(plan.desc, attribute, &mode, sizeof(mode)),
                 "scale a product");
  }
  const cudaDataType_t type = e4m3 ? CUDA_R_8F_E4M3 : CUDA_R_16BF;
  const auto u = [](int size) { return static_cast<uint64_t>(size); };
  check_blas(cublasLtMatrixLayoutCreate(&plan.w, type, u(cols), u(rows), cols), "describe a matrix");
  check_blas(cublasLtMatrixLayoutCreate(&plan.x, type, u(cols), u(n), cols), "describe a matrix");
  check_blas(cublasLtMatrixLayoutCreate(&plan.y, floats ? CUDA_R_32F : CUDA_R_16BF, u(rows), u(n), stride),
             "describe a matrix");
  cublasLtMatmulPreference_t preference = nullptr;
  check_blas(cublasLtMatmulPreferenceCreate(&preference), "choose a kernel");
  const size_t workspace_bytes = workspace_.size();
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                                       sizeof(workspace_bytes));
  cublasLtMatmulHeuristicResult_t result = {};
  int n_results = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(blas_, plan.desc, plan.w, plan.x, plan.y,
                                                               plan.y, preference, 1, &result, &n_results);
  cublasLtMatmulPreferenceDestroy(preference);
  check_blas(status == CUBLAS_STATUS_SUCCESS && n_results == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : status,
             "multiply matrices of this shape");
  plan.algo = result.algo;
  return plans_.emplace(shape, plan).first->second;
}

void CudaMatmul::run(const CudaMatrix& w, const __nv_bfloat16* x, int n, const ProductRows& y) {
  if (n == 0) return;
  const bool at_hand = w.bf16 != nullptr || w.e4m3 != nullptr;
  if (n <= (at_hand ? cuda::kFewTokens : kFewTokensQuantised)) {
    cuda::matmul_few_tokens({.dtype = w.dtype,
                             .w = w.data,
                             .n_rows = w.rows,
                             .cols = w.cols,
                             .rows = nullptr,
                             .x = x,
                             .n = n,
                             .y = y.f32,
                             .y_bf16 = y.bf16,
                             .y_stride = y.stride,
                             .accumulate = y.accumulate},
                            stream_);
    return;
  }
  const void *weights = w.bf16, *activations = x;
  if (w.e4m3 != nullptr) {
    uint8_t* rounded = x_e4m3_.at_least(static_cast<size_t>(n) * static_cast<size_t>(w.cols));
    cuda::quantize_e4m3(x, n, w.cols, rounded, x_scales_.at_least(static_cast<size_t>(n)), stream_);
    weights = w.e4m3;
    activations = rounded;
  } else if (w.bf16 == nullptr) {
    const int64_t elements = int64_t{w.rows} * w.cols;
    __nv_bfloat16* expanded = expanded_.at_least(static_cast<size_t>(elements));
    cuda::expand(w.dtype, w.data, elements, expanded, stream_);
    weights = expanded;
  }
  const Plan& p = plan({w.rows, w.cols, n, y.stride, y.f32 != nullptr, w.e4m3 != nullptr});
  if (w.e4m3 != nullptr) {
    const float* scales[] = {w.scales, x_scales_.data()};
    check_blas(cublasLtMatmulDescSetAttribute(p.desc, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &scales[0],
                                              sizeof(void*)),
               "scale a product");
    check_blas(cublasLtMatmulDescSetAttribute(p.desc, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &scales[1],
                                              sizeof(void*)),
               "scale a product");
  }
  const float alpha = 1.0f, beta = y.accumulate ? 1.0f : 0.0f;
  void* out = y.f32 != nullptr ? static_cast<void*>(y.f32) : y.bf16;
  check_blas(cublasLtMatmul(blas_, p.desc, &alpha, weights, p.w, activations, p.x, &beta, out, p.y, out, p.y,
                            &p.algo, workspace_.data(), workspace_.size(), stream_),
             "multiply matrices");
}

void CudaMatmul::run_rows(const CudaMatrix& w, const int32_t* rows, int n_rows, const __nv_bfloat16* x, int n,
                          float* y) {
  cuda::matmul_few_tokens({.dtype = w.dtype,
                           .w = w.data,
                           .n_rows = n_rows,
                           .cols = w.cols,
                           .rows = rows,
                           .x = x,
                           .n = n,
                           .y = y,
                           .y_bf16 = nullptr,
                           .y_stride = n_rows,
                           .accumulate = false},
                          stream_);
}

}  // namespace lectern
