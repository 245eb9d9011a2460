// What each kernel computes, written for the reader and in double precision: the truth that the bundles of
// kernels/cpu are tested against. Never called in production. Thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/common/types.h"

namespace lectern::reference {

// y[t, r] = sum_c x[t, c] * W[r, c] + bias[r]; W as it lies in a model file, bias may be null.
// -> [n_tokens, rows]
std::vector<double> matmul(DType dtype, const void* w, int32_t rows, int32_t cols, const float* x,
                           int32_t n_tokens, const float* bias);

// One query head q[head_dim] at `position` over the keys and values [position + 1, head_dim] of its KV head.
// -> [head_dim]
std::vector<double> attention(const float* q, const float* k, const float* v, int32_t position,
                              int32_t head_dim, double scale);

std::vector<double> rmsnorm(const float* x, const float* weight, int32_t n, double eps);
// One head, rotated by the angles whose cosines and sines are given: cos_sin[head_dim].
std::vector<double> rope(const float* x, const float* cos_sin, int32_t head_dim);
double silu(double x);
// Normalised exponentials; *log_sum_exp may be null.
std::vector<double> softmax(const float* x, int64_t n, double* log_sum_exp);

}  // namespace lectern::reference
