// Rotary position embedding in the NEOX layout (halves paired), with YaRN (arXiv:2309.00071) or Dual Chunk
// Attention (arXiv:2402.17463) where the config asks for them. Immutable; safe to use from any thread.
#pragma once

#include <vector>

#include "engine/config.h"

namespace lectern {

// Dual Chunk Attention cuts the keys into chunks of chunk_size - local_size tokens and rotates each by its
// place within its chunk. A query meets those of its own chunk, of the one before and of all earlier ones
// with a rotation each, such that no distance exceeds chunk_size, and that distances up to local_size are
// true. For sequences of up to chunk_size tokens that is the ordinary attention.
enum class KeyChunk { kIntra, kSucc, kInter };

class Rope {
 public:
  explicit Rope(const Qwen2Config& config);

  // Tokens of a key chunk; 0 without Dual Chunk Attention.
  int chunk_tokens() const { return chunk_tokens_; }

  // cos_sin [head_dim]: the cosines of the head_dim/2 angles of the key at `position`, then their sines. The
  // angles are computed in double precision: a float loses 0.004 radian at position 65,536.
  void fill_key(int position, float* cos_sin) const;
  // The same of the query at `position` for the keys of `chunk`. With Dual Chunk Attention times its
  // temperature, 1 + 0.1 ln(n / original_max_position_embeddings) squared, where n is the query's own length,
  // position + 1. (The published implementation takes that of the whole prompt for all its queries; so K and
  // V would depend on what comes after them, and could not be shared between prompts. The last queries, which
  // answer, are the same.)
  void fill_query(int position, KeyChunk chunk, float* cos_sin) const;

 private:
  void fill(int position, double magnitude, float* cos_sin) const;

  std::vector<double> inverse_frequency_;  // [head_dim/2], radian a position
  double magnitude_ = 1.0;                 // YaRN's attention temperature, applied to queries and keys alike
  int chunk_tokens_ = 0;
  DualChunkAttention dual_chunk_;
};

}  // namespace lectern
