// Rotary position embedding in the NEOX layout (halves paired), with YaRN where the config asks for it
// (arXiv:2309.00071). Immutable; safe to use from any thread.
#pragma once

#include <vector>

#include "engine/config.h"

namespace lectern {

class Rope {
 public:
  explicit Rope(const Qwen2Config& config);

  // cos_sin [head_dim]: the cosines of the head_dim/2 angles at `position`, then their sines. The angles are
  // computed in double precision: a float loses 0.004 radian at position 65,536.
  void fill(int position, float* cos_sin) const;

 private:
  std::vector<double> inverse_frequency_;  // [head_dim/2], radian a position
  double magnitude_ = 1.0;                 // YaRN's attention temperature, applied to queries and keys alike
};

}  // namespace lectern
