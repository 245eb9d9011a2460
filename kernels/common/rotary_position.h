// Where rotary position embedding turns keys and queries to: the position maths of Dual Chunk Attention
// (arXiv:2402.17463), for the CPU and the GPU. Plain data; engine/rope.h makes it from a model's config.
#pragma once

#include <cmath>

#include "kernels/common/host_device.h"

namespace lectern {

// Dual Chunk Attention cuts the keys into chunks of chunk_size - local_size tokens and rotates each by its
// place within its chunk. A query meets those of its own chunk, of the one before and of all earlier ones
// with a rotation each, such that no distance exceeds chunk_size, and that distances up to local_size are
// true. For sequences of up to chunk_size tokens that is the ordinary attention.
enum class KeyChunk { kIntra, kSucc, kInter };
inline constexpr int kKeyChunks = 3;

inline constexpr int kMaxRotaryPairs = 128;

struct RotaryTable {
  double inverse_frequency[kMaxRotaryPairs] = {};  // radian a position, of head_dim / 2 pairs
  int n_pairs = 0;
  double magnitude = 1.0;  // YaRN's attention temperature, applied to queries and keys alike
  // Dual Chunk Attention; 0 without.
  int chunk_tokens = 0;  // of a chunk of keys
  int chunk_size = 0;    // the largest distance
  int original_max_position_embeddings = 0;
};

struct Rotation {
  int position;      // angles are position * inverse_frequency
  double magnitude;  // cosines and sines are multiplied by it
};

LECTERN_HOST_DEVICE inline Rotation key_rotation(const RotaryTable& table, int position) {
  return {table.chunk_tokens == 0 ? position : position % table.chunk_tokens, table.magnitude};
}

// With Dual Chunk Attention the query is also multiplied by the temperature, 1 + 0.1 ln(n / original)
// squared, where n is the query's own length, position + 1. (The published implementation takes that of the
// whole prompt for all its queries; so K and V would depend on what comes after them, and could not be shared
// between prompts. The last queries, which answer, are the same.)
LECTERN_HOST_DEVICE inline Rotation query_rotation(const RotaryTable& table, int position, KeyChunk chunk) {
  if (table.chunk_tokens == 0) return {position, table.magnitude};
  const int original = table.original_max_position_embeddings;
  const double stretch = original == 0 ? 1.0 : (position + 1.0) / original;
  const double temperature = stretch > 1.0 ? 0.1 * log(stretch) + 1.0 : 1.0;
  const int in_chunk = position % table.chunk_tokens;
  const int succ = in_chunk + table.chunk_tokens;
  const int rotated = chunk == KeyChunk::kIntra                             ? in_chunk
                      : chunk == KeyChunk::kSucc && succ < table.chunk_size ? succ
                                                                            : table.chunk_size;
  return {rotated, temperature * temperature};
}

}  // namespace lectern
