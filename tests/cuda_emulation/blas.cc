#include "tests/cuda_emulation/include/cublasLt.h"
#include "tests/cuda_emulation/include/cuda_bf16.h"
#include "tests/cuda_emulation/include/cuda_fp16.h"
#include "tests/cuda_emulation/include/cuda_fp8.h"

struct EmulatedBlas {};
struct EmulatedPreference {};
struct EmulatedMatmulDesc {
  cublasOperation_t op[2] = {CUBLAS_OP_N, CUBLAS_OP_N};
  const float* scale[2] = {nullptr, nullptr};  // of A and B
  int32_t scale_mode[2] = {CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F, CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F};
};
struct EmulatedMatrixLayout {
  cudaDataType_t type;
  uint64_t rows, cols;
  int64_t ld;
};

namespace {

float load(const void* base, cudaDataType_t type, size_t i) {
  switch (type) {
    case CUDA_R_32F:
      return static_cast<const float*>(base)[i];
    case CUDA_R_16F:
      return __half2float(static_cast<const __half*>(base)[i]);
    case CUDA_R_16BF:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(base)[i]);
    case CUDA_R_8F_E4M3:
      return static_cast<float>(static_cast<const __nv_fp8_e4m3*>(base)[i]);
  }
  return 0;
}

void store(void* base, cudaDataType_t type, size_t i, float value) {
  switch (type) {
    case CUDA_R_32F:
      static_cast<float*>(base)[i] = value;
      break;
    case CUDA_R_16F:
      static_cast<__half*>(base)[i] = __float2half_rn(value);
      break;
    case CUDA_R_16BF:
      static_cast<__nv_bfloat16*>(base)[i] = __float2bfloat16_rn(value);
      break;
    case CUDA_R_8F_E4M3:
      static_cast<__nv_fp8_e4m3*>(base)[i] = __nv_fp8_e4m3(value);
      break;
  }
}

// Element [y, x] of op(matrix), as an index into its column-major memory.
size_t place(const EmulatedMatrixLayout& layout, cublasOperation_t op, size_t y, size_t x) {
  if (op == CUBLAS_OP_T) std::swap(y, x);
  return x * static_cast<size_t>(layout.ld) + y;
}

float scale_of(const EmulatedMatmulDesc& desc, int side, size_t outer) {
  if (desc.scale[side] == nullptr) return 1.0f;
  return desc.scale[side][desc.scale_mode[side] == CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F ? outer : 0];
}

}  // namespace

const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : "not supported";
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = new EmulatedBlas;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t, cudaDataType_t) {
  *desc = new EmulatedMatmulDesc;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete desc;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      std::memcpy(&desc->op[0], value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
      std::memcpy(&desc->op[1], value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_A_SCALE_POINTER:
      std::memcpy(&desc->scale[0], value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_B_SCALE_POINTER:
      std::memcpy(&desc->scale[1], value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_A_SCALE_MODE:
      std::memcpy(&desc->scale_mode[0], value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_B_SCALE_MODE:
      std::memcpy(&desc->scale_mode[1], value, bytes);
      break;
  }
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type, uint64_t rows,
                                          uint64_t cols, int64_t ld) {
  if (ld < static_cast<int64_t>(rows)) return CUBLAS_STATUS_INVALID_VALUE;
  *layout = new EmulatedMatrixLayout{type, rows, cols, ld};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new EmulatedPreference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t, const void*,
                                                    size_t) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t, int n_wanted,
                                              cublasLtMatmulHeuristicResult_t* results, int* n_results) {
  *n_results = 0;
  const bool t_a = desc->op[0] == CUBLAS_OP_T, t_b = desc->op[1] == CUBLAS_OP_T;
  const uint64_t m = t_a ? a->cols : a->rows, k = t_a ? a->rows : a->cols;
  const uint64_t k_b = t_b ? b->cols : b->rows, n = t_b ? b->rows : b->cols;
  if (k != k_b || m != d->rows || n != d->cols) return CUBLAS_STATUS_INVALID_VALUE;
  // What Hopper asks of 8-bit floats.
  const bool fp8 = a->type == CUDA_R_8F_E4M3 || b->type == CUDA_R_8F_E4M3;
  if (fp8 && (a->type != b->type || !t_a || t_b || k % 16 != 0 || m % 16 != 0))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (n_wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
  results[0] = {.algo = {}, .workspaceSize = 0, .state = CUBLAS_STATUS_SUCCESS};
  *n_results = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t*, void*, size_t,
                              cudaStream_t stream) {
  const float alpha_value = *static_cast<const float*>(alpha), beta_value = *static_cast<const float*>(beta);
  emulate_enqueue(stream, [=, desc = *desc, a_layout = *a_layout, b_layout = *b_layout, c_layout = *c_layout,
                           d_layout = *d_layout] {
    const size_t k = desc.op[0] == CUBLAS_OP_T ? a_layout.rows : a_layout.cols;
    for (size_t x = 0; x < d_layout.cols; ++x) {
      for (size_t y = 0; y < d_layout.rows; ++y) {
        double sum = 0;
        for (size_t i = 0; i < k; ++i)
          sum += double{load(a, a_layout.type, place(a_layout, desc.op[0], y, i))} *
                 double{load(b, b_layout.type, place(b_layout, desc.op[1], i, x))};
        auto value = alpha_value * scale_of(desc, 0, y) * scale_of(desc, 1, x) * static_cast<float>(sum);
        if (beta_value != 0) value += beta_value * load(c, c_layout.type, place(c_layout, CUBLAS_OP_N, y, x));
        store(d, d_layout.type, place(d_layout, CUBLAS_OP_N, y, x), value);
      }
    }
  });
  return CUBLAS_STATUS_SUCCESS;
}
