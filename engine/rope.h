// Rotary position embedding in the NEOX layout (halves paired), with YaRN (arXiv:2309.00071) or Dual Chunk
// Attention (arXiv:2402.17463) where the config asks for them. Immutable; safe to use from any thread.
#pragma once

#include "engine/config.h"
#include "kernels/common/rotary_position.h"

namespace lectern {

class Rope {
 public:
  explicit Rope(const Qwen2Config& config);

  // Tokens of a key chunk; 0 without Dual Chunk Attention.
  int chunk_tokens() const { return table_.chunk_tokens; }

  // cos_sin [head_dim]: the cosines of the head_dim/2 angles of the key at `position`, then their sines. The
  // angles are computed in double precision: a float loses 0.004 radian at position 65,536.
  void fill_key(int position, float* cos_sin) const;
  // The same of the query at `position` for the keys of `chunk`, with Dual Chunk Attention's temperature.
  void fill_query(int position, KeyChunk chunk, float* cos_sin) const;
  // Turns by `n` positions more what is rotated already.
  void fill_further(int n, float* cos_sin) const { fill({n, 1.0}, cos_sin); }
  const RotaryTable& table() const { return table_; }

 private:
  void fill(const Rotation& rotation, float* cos_sin) const;

  RotaryTable table_;
};

}  // namespace lectern
