#include "kernels/reference/reference.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/dequantize.h"

namespace lectern::reference {

std::vector<double> matmul(DType dtype, const void* w, int32_t rows, int32_t cols, const float* x,
                           int32_t n_tokens, const float* bias) {
  const auto n_rows = static_cast<size_t>(rows), n_cols = static_cast<size_t>(cols);
  std::vector<float> weights(n_rows * n_cols);
  dequantize(dtype, w, static_cast<int64_t>(weights.size()), weights.data());
  std::vector<double> y(static_cast<size_t>(n_tokens) * n_rows);
  for (size_t t = 0; t < static_cast<size_t>(n_tokens); ++t) {
    for (size_t r = 0; r < n_rows; ++r) {
      double sum = bias != nullptr ? bias[r] : 0.0;
      for (size_t c = 0; c < n_cols; ++c) {
        sum += static_cast<double>(x[t * n_cols + c]) * static_cast<double>(weights[r * n_cols + c]);
      }
      y[t * n_rows + r] = sum;
    }
  }
  return y;
}

std::vector<double> attention(const float* q, const float* k, const float* v, int32_t position,
                              int32_t head_dim, double scale) {
  const auto n_keys = static_cast<size_t>(position) + 1, d = static_cast<size_t>(head_dim);
  std::vector<double> weights(n_keys), out(d);
  for (size_t j = 0; j < n_keys; ++j) {
    for (size_t i = 0; i < d; ++i) weights[j] += scale * q[i] * k[j * d + i];
  }
  const double max = *std::max_element(weights.begin(), weights.end());
  double sum = 0.0;
  for (double& weight : weights) sum += weight = std::exp(weight - max);
  for (size_t j = 0; j < n_keys; ++j) {
    for (size_t i = 0; i < d; ++i) out[i] += weights[j] / sum * v[j * d + i];
  }
  return out;
}

std::vector<double> rmsnorm(const float* x, const float* weight, int32_t n, double eps) {
  double squares = 0.0;
  for (int32_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  std::vector<double> out(static_cast<size_t>(n));
  for (int32_t i = 0; i < n; ++i) {
    out[static_cast<size_t>(i)] = x[i] / std::sqrt(squares / n + eps) * weight[i];
  }
  return out;
}

std::vector<double> rope(const float* x, const float* cos_sin, int32_t head_dim) {
  const auto half = static_cast<size_t>(head_dim) / 2;
  std::vector<double> out(2 * half);
  for (size_t i = 0; i < half; ++i) {
    const double cos = cos_sin[i], sin = cos_sin[half + i];
    out[i] = x[i] * cos - x[half + i] * sin;
    out[half + i] = x[half + i] * cos + x[i] * sin;
  }
  return out;
}

double silu(double x) {
  return x / (1.0 + std::exp(-x));
}

std::vector<double> softmax(const float* x, int64_t n, double* log_sum_exp) {
  const double max = *std::max_element(x, x + n);
  std::vector<double> out(x, x + n);
  double sum = 0.0;
  for (double& value : out) sum += value = std::exp(value - max);
  for (double& value : out) value /= sum;
  if (log_sum_exp != nullptr) *log_sum_exp = max + std::log(sum);
  return out;
}

}  // namespace lectern::reference
