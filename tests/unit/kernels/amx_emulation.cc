// A tile unit in plain C++, and the AMX kernels on it. It follows Intel's manual (SDM volume 2: LDTILECFG,
// TILEZERO, TILELOADD, TILESTORED, TDPBSSD, TDPBSUD) and notes what a processor would have refused. Compiled
// like the AVX-512 VNNI bundle, since the kernels scale with it.
#include "tests/unit/kernels/amx_emulation.h"

#include "kernels/cpu/amx_blocks.h"
#include "kernels/cpu/amx_super_blocks.h"

namespace lectern::emulated_amx {
namespace {

using amx::kTileRows;
using amx::kTiles;

constexpr int kRowBytes = 64;

const char* first_violation = nullptr;
uint64_t products = 0;

bool require(bool holds, const char* what) {
  if (!holds && first_violation == nullptr) first_violation = what;
  return holds;
}

class EmulatedTiles {
 public:
  explicit EmulatedTiles(const amx::TileConfig& config) {
    bool good = require(config.palette == 1, "a palette that there is not") &&
                require(config.start_row == 0, "a load that begins in its middle");
    for (uint8_t byte : config.reserved) good = good && require(byte == 0, "a reserved byte is set");
    for (int i = 0; i < 16; ++i) {
      const int rows = config.rows[i], row_bytes = config.row_bytes[i];
      if (i >= kTiles) {
        good = good && require(rows == 0 && row_bytes == 0, "more tiles than the palette has");
        continue;
      }
      good = good && require(rows <= kTileRows, "more rows than the palette has") &&
             require(row_bytes <= kRowBytes, "longer rows than the palette has") &&
             require((rows == 0) == (row_bytes == 0), "a tile half configured");
    }
    if (!good) return;
    for (int i = 0; i < kTiles; ++i) {
      tiles_[i].rows = config.rows[i];
      tiles_[i].row_bytes = config.row_bytes[i];
    }
    // Nothing may count on what the tiles hold after LDTILECFG, though that is zero.
  }
  EmulatedTiles(const EmulatedTiles&) = delete;
  EmulatedTiles& operator=(const EmulatedTiles&) = delete;

  template <int tile>
  void zero() {
    if (configured(tiles_[tile])) clear(tiles_[tile]);
  }
  template <int tile>
  void load(const void* base, int64_t stride) {
    Tile& t = tiles_[tile];
    if (!configured(t)) return;
    clear(t);  // what lies beyond the configured shape becomes zero
    for (int r = 0; r < t.rows; ++r) {
      __builtin_memcpy(t.bytes[r], static_cast<const char*>(base) + r * stride,
                       static_cast<size_t>(t.row_bytes));
    }
  }
  template <int tile>
  void store(void* base, int64_t stride) {
    const Tile& t = tiles_[tile];
    if (!configured(t)) return;
    for (int r = 0; r < t.rows; ++r) {
      __builtin_memcpy(static_cast<char*>(base) + r * stride, t.bytes[r], static_cast<size_t>(t.row_bytes));
    }
  }
  template <int c, int a, int b>
  void add_signed_products() {
    static_assert(c != a && a != b && b != c, "#UD");
    add_products<int8_t>(tiles_[c], tiles_[a], tiles_[b]);
  }
  template <int c, int a, int b>
  void add_unsigned_products() {
    static_assert(c != a && a != b && b != c, "#UD");
    add_products<uint8_t>(tiles_[c], tiles_[a], tiles_[b]);
  }

 private:
  struct Tile {
    int rows, row_bytes;
    uint8_t bytes[kTileRows][kRowBytes];
  };

  static bool configured(const Tile& t) { return require(t.rows != 0, "a tile that is not configured"); }
  static void clear(Tile& t) { __builtin_memset(t.bytes, 0, sizeof(t.bytes)); }

  template <typename Weight>
  static void add_products(Tile& c, const Tile& a, const Tile& b) {
    ++products;
    if (!configured(a) || !configured(b) || !configured(c) ||
        !require(c.rows == a.rows, "a product of other rows than its sums") ||
        !require(c.row_bytes == b.row_bytes, "a product of other columns than its sums") ||
        !require(a.row_bytes == 4 * b.rows, "a product of tiles that do not fit") ||
        !require(a.row_bytes % 4 == 0 && c.row_bytes % 4 == 0, "rows of broken words")) {
      return;
    }
    for (int m = 0; m < c.rows; ++m) {
      int32_t sums[kTileRows];
      __builtin_memcpy(sums, c.bytes[m], kRowBytes);
      for (int k = 0; k < b.rows; ++k) {
        for (int n = 0; n < c.row_bytes / 4; ++n) {
          for (int i = 0; i < 4; ++i) {
            sums[n] +=
                static_cast<int8_t>(a.bytes[m][4 * k + i]) * static_cast<Weight>(b.bytes[k][4 * n + i]);
          }
        }
      }
      __builtin_memcpy(c.bytes[m], sums, kRowBytes);
    }
  }

  // Junk, so that a sum that was never zeroed shows.
  static Tile junk() {
    Tile t;
    t.rows = t.row_bytes = 0;
    __builtin_memset(t.bytes, 0x5a, sizeof(t.bytes));
    return t;
  }
  Tile tiles_[kTiles] = {junk(), junk(), junk(), junk(), junk(), junk(), junk(), junk()};
};

}  // namespace

void matmul_blocks(const MatmulArgs& args) {
  amx::matmul_blocks_with<EmulatedTiles>(args);
}
void matmul_super_blocks(const MatmulArgs& args) {
  amx::matmul_super_blocks_with<EmulatedTiles>(args);
}

const char* take_violation() {
  const char* violation = first_violation;
  first_violation = nullptr;
  return violation;
}
uint64_t n_products() {
  return products;
}

void product(int rows, int columns, int depth, bool is_signed, bool lies, const int8_t* a, const uint8_t* b,
             int32_t* c) {
  amx::TileConfig config;
  config.set(0, rows, 4 * columns);
  config.set(1, rows, 4 * depth);
  config.set(2, lies ? depth - 1 : depth, 4 * columns);
  EmulatedTiles tiles(config);
  tiles.zero<0>();
  tiles.load<1>(a, 4 * depth);
  tiles.load<2>(b, 4 * columns);
  is_signed ? tiles.add_signed_products<0, 1, 2>() : tiles.add_unsigned_products<0, 1, 2>();
  tiles.store<0>(c, 4 * columns);
}

}  // namespace lectern::emulated_amx
