// How the AMX matmuls go over a panel: 16 or 32 rows times the tokens of a token tile. Only for ISA files.
//
// Memory lies as for the AVX2 bundle (avx2_layout.h). Two row tiles side by side are 16 rows: four columns of
// them fill 64 bytes, one row of the tile that TDPB takes as its second operand, and the quants of up to 16
// tokens, as they lie, are the rows of its first. The product, 16 tokens x 16 rows of 32-bit sums, goes
// through memory to AVX-512, which scales it in the order of the other bundles: the same integers, the same
// roundings, the same bits.
//
// Columns are taken in steps: a super-block, or a few blocks. The tile unit and the vector units work side by
// side: while the tiles multiply the next group of tokens, the vectors scale the sums of this one and unpack
// a share of the next step's weights.
#pragma once

#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/avx512vnni_tile.h"

namespace lectern::amx {
namespace {

using avx512vnni::kRows;
using avx512vnni::Panel;
using avx512vnni::TilePair;

// Tile numbers: sums 0..3, activations 4 and 5, weights 6 and 7.
constexpr int kTokenTile = 4, kWeightTile = 6;

// The tokens of a panel in groups of equally many, at most 16: a product takes as long as its tokens are
// many. Where they do not come out even, the last group begins early and leaves the tokens that it shares
// alone.
struct Groups {
  explicit Groups(int tokens)
      : n_tokens(tokens), n((tokens + kTileRows - 1) / kTileRows), rows((tokens + n - 1) / n) {}
  int first(int g) const { return g * rows < n_tokens - rows ? g * rows : n_tokens - rows; }

  int n_tokens, n, rows;
};

inline TileConfig tile_config(int tokens, int columns) {
  TileConfig config;
  for (int tile = 0; tile < kTokenTile; ++tile) config.set(tile, tokens, kRows * 4);
  for (int tile = kTokenTile; tile < kWeightTile; ++tile) config.set(tile, tokens, columns);
  for (int tile = kWeightTile; tile < kTiles; ++tile) config.set(tile, columns / 4, kRows * 4);
  return config;
}

// The sums of n tiles for a group of tokens.
template <int n>
struct Sums {
  alignas(64) int32_t tiles[n][kTileRows][kRows];

  LECTERN_ALWAYS_INLINE __m512i of(int tile, int t) const { return _mm512_load_si512(tiles[tile][t]); }
};

// A group of tokens at one step. Kernels are described below.
template <typename Kernel>
struct Work {
  const typename Kernel::Weights* weights;
  typename Kernel::Activations x;
  int token;   // first of the group, within the panel
  int shared;  // so many of its tokens belong to the group before
  Sums<Kernel::kSums>* sums;
};

// Products of `next`, where there is one, and between them the scaling of `now`.
template <typename Kernel, int part = 0, typename Tiles>
LECTERN_ALWAYS_INLINE void multiply_and_scale(Tiles& tiles, const Work<Kernel>* next, const Work<Kernel>& now,
                                              int n_tokens, float* totals) {
  if constexpr (part < Kernel::kParts) {
    if (next != nullptr) Kernel::template multiply<part>(tiles, *next);
    const int begin = n_tokens * part / Kernel::kParts, end = n_tokens * (part + 1) / Kernel::kParts;
    Kernel::scale(now, begin < now.shared ? now.shared : begin, end,
                  totals + now.token * Kernel::kPairs * kRows);
    multiply_and_scale<Kernel, part + 1>(tiles, next, now, n_tokens, totals);
  }
}
template <typename Kernel, int part = 0, typename Tiles>
LECTERN_ALWAYS_INLINE void multiply(Tiles& tiles, const Work<Kernel>& work) {
  if constexpr (part < Kernel::kParts) {
    Kernel::template multiply<part>(tiles, work);
    multiply<Kernel, part + 1>(tiles, work);
  }
}

// A Kernel, of one weight format and kPairs pairs of row tiles, has
//   Weights, Activations                    of a step; kPieces pieces of weights are unpacked one by one
//   kTileColumns                            columns that a product of tiles sums over
//   kSums, kParts                           tiles of sums; parts in which a step's products are issued
//   n_steps(cols)
//   unpack(panel, step, piece, weights)     piece 0 first
//   activations(panel, step)
//   multiply<part>(tiles, work)             into work.sums
//   scale(work, begin, end, totals)         totals[token of the group][kPairs * 16] += the scaled sums of
//   some tokens
template <typename Kernel, typename Tiles>
void multiply_panel(const Panel& panel) {
  constexpr int kWidth = Kernel::kPairs * kRows;
  const Groups groups(panel.n_tokens);
  const int n_steps = Kernel::n_steps(panel.args.w->cols);
  Tiles tiles(tile_config(groups.rows, Kernel::kTileColumns));
  typename Kernel::Weights weights[2];  // of this step and the next
  Sums<Kernel::kSums> sums[2];          // of this group and the next
  alignas(64) float totals[avx2::kMaxTokenTile * kWidth];
  for (int i = 0; i < panel.n_tokens * kWidth; i += kRows) _mm512_store_ps(totals + i, _mm512_setzero_ps());

  const auto work = [&](int step, int g, int n_before) {
    const int token = groups.first(g);
    return Work<Kernel>{&weights[step % 2], Kernel::activations(panel, step), token, g * groups.rows - token,
                        &sums[n_before % 2]};
  };
  for (int piece = 0; piece < Kernel::kPieces; ++piece) Kernel::unpack(panel, 0, piece, weights[0]);
  Work<Kernel> now = work(0, 0, 0);
  multiply(tiles, now);
  int done = 0;
  for (int step = 0; step < n_steps; ++step) {
    avx2::prefetch_outputs<kWidth>(panel.args, panel.token, panel.row, panel.n_tokens, step, n_steps);
    for (int g = 0; g < groups.n; ++g, ++done) {
      if (step + 1 < n_steps) {
        const int end = Kernel::kPieces * (g + 1) / groups.n;
        for (int piece = Kernel::kPieces * g / groups.n; piece < end; ++piece) {
          Kernel::unpack(panel, step + 1, piece, weights[(step + 1) % 2]);
        }
      }
      const bool last_group = g + 1 == groups.n, last = last_group && step + 1 == n_steps;
      const Work<Kernel> next = last ? now : work(step + last_group, last_group ? 0 : g + 1, done + 1);
      multiply_and_scale(tiles, last ? nullptr : &next, now, groups.rows, totals);
      now = next;
    }
  }
  avx512vnni::write_out<Kernel::kPairs>(panel, totals);
}

// What avx512vnni::for_panels calls: Kernel<V, F> times the panel.
template <template <int, typename> typename Kernel, typename F, typename Tiles>
struct PanelKernel {
  template <int V>
  static void many(const Panel& panel) {
    multiply_panel<Kernel<V, F>, Tiles>(panel);
  }
};

}  // namespace
}  // namespace lectern::amx
