// The AMX loop behind machine_limits.h.
#include "kernels/cpu/amx.h"
#include "kernels/cpu/amx_tiles.h"

namespace lectern::amx {

uint64_t int8_products(uint64_t rounds) {
  constexpr int kRowBytes = 64, kSums = 6;  // tiles of sums: products take long, sums of their own hide that
  TileConfig config;
  for (int tile = 0; tile < kTiles; ++tile) config.set(tile, kTileRows, kRowBytes);
  alignas(64) int8_t numbers[kTileRows * kRowBytes];
  for (int8_t& number : numbers) number = 3;
  HardwareTiles tiles(config);
  tiles.zero<0>();
  tiles.zero<1>();
  tiles.zero<2>();
  tiles.zero<3>();
  tiles.zero<4>();
  tiles.zero<5>();
  tiles.load<6>(numbers, kRowBytes);
  tiles.load<7>(numbers, kRowBytes);
  for (uint64_t r = 0; r < rounds; ++r) {
    tiles.add_signed_products<0, 6, 7>();
    tiles.add_signed_products<1, 6, 7>();
    tiles.add_signed_products<2, 6, 7>();
    tiles.add_signed_products<3, 6, 7>();
    tiles.add_signed_products<4, 6, 7>();
    tiles.add_signed_products<5, 6, 7>();
  }
  return rounds * kSums * kTileRows * kTileRows * kRowBytes * 2;
}

}  // namespace lectern::amx
