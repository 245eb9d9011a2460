// What 8-bit floats would cost a model, measured without a GPU: its layers' matrices, and on request what
// they multiply, rounded to e4m3 as CUDA's products round them (BackendOptions::fp8), and computed in float
// on the CPU. Embedding and head stay as they are, as there.
#pragma once

#include <memory>

#include "engine/backend.h"

namespace lectern {

enum class E4m3Simulation {
  kNone,                   // only in float: what the others are compared with
  kWeights,                // matrices, with a scale for each row
  kWeightsAndActivations,  // and their input, with a scale for each token
};

// A model whose layers' matrices are floats. Needs 4 bytes a weight of memory, twice while a backend packs
// them. `model` is kept alive.
std::shared_ptr<const ModelFile> expanded_model(std::shared_ptr<const ModelFile> model, bool round_to_e4m3);

// Throws as make_cpu_backend does.
std::unique_ptr<Backend> make_e4m3_simulation(std::shared_ptr<const ModelFile> model,
                                              E4m3Simulation simulation, const BackendOptions& options,
                                              const ProgressFn& progress);

}  // namespace lectern
