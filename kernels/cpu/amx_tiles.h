// The tile unit as the AMX kernels see it: a policy that they take as a template parameter. HardwareTiles is
// the processor's; tests/unit/kernels/amx_emulation.cc has one in plain C++ with the same members, so that
// all of the kernels but these few instructions runs on processors without AMX.
//
// An object is the thread's tile unit in use: made with a configuration, released at the end of its life. One
// a thread at a time. Tiles are known by number, 0..7. Only for ISA files.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lectern::amx {
namespace {

constexpr int kTileRows = 16;  // at most; a row has at most 64 bytes
constexpr int kTiles = 8;

// What LDTILECFG reads (Intel SDM volume 1, "Tile configuration"). Palette 1: eight tiles of 16 rows of 64
// bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;  // where an interrupted load goes on
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void set(int tile, int n_rows, int n_row_bytes) {
    rows[tile] = static_cast<uint8_t>(n_rows);
    row_bytes[tile] = static_cast<uint16_t>(n_row_bytes);
  }
};
static_assert(sizeof(TileConfig) == 64);

// The instructions are written out: GCC 12's _tile_loadd does not tell the compiler that it reads memory, and
// its intrinsics take only literal tile numbers.
class HardwareTiles {
 public:
  explicit HardwareTiles(const TileConfig& config) { __asm__ volatile("ldtilecfg %0" : : "m"(config)); }
  ~HardwareTiles() { __asm__ volatile("tilerelease" : :); }
  HardwareTiles(const HardwareTiles&) = delete;
  HardwareTiles& operator=(const HardwareTiles&) = delete;

  template <int tile>
  void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(tile));
  }
  // Row r of the tile lies at base + r * stride.
  template <int tile>
  void load(const void* base, int64_t stride) {
    __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(tile), "r"(base), "r"(stride) : "memory");
  }
  template <int tile>
  void store(void* base, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(tile), "r"(base), "r"(stride) : "memory");
  }
  // c[m][n] += sum over k, i of a[m][4k + i] * b[k][4n + i]: 32-bit sums of products of bytes, those of a
  // signed, those of b signed or not.
  template <int c, int a, int b>
  void add_signed_products() {
    __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
  template <int c, int a, int b>
  void add_unsigned_products() {
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
};

}  // namespace
}  // namespace lectern::amx
