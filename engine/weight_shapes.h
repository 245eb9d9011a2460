// The last check of a model's weights before kernels, which trust their arguments, read them.
#pragma once

#include "engine/model_file.h"

namespace lectern {

// The matrices of a model with the shapes that its config gives them, in the order in which a forward pass
// reads them. `share`: of the tokens that pass through it.
struct ShapedMatrix {
  const Matrix* matrix;
  int rows, cols;
  double share = 1.0;
};

// Throws Error(kCorrupt) naming the file and the tensor.
void check_shape(const ShapedMatrix& expected, const ModelFile& model);
// The number of layers, the norms and the biases. Throws Error(kCorrupt).
void check_vectors(const ModelFile& model);

}  // namespace lectern
