// The bundles beside each other, over random shapes.
#include "tests/support/catch.h"
#include "tests/unit/kernels/kernel_fixtures.h"
#include "tests/unit/kernels/random_product.h"

namespace lectern {
namespace {

const KernelTable* runnable(std::string_view name) {
  for (const KernelTable* table : runnable_tables()) {
    if (name == table->name) return table;
  }
  return nullptr;
}

void check_equal_to_avx2(std::string_view name) {
  const KernelTable* narrow = runnable("avx2");
  const KernelTable* wide = runnable(name);
  if (narrow == nullptr || wide == nullptr) LECTERN_SKIP("this processor cannot run both bundles");
  CHECK(std::string_view(wide->numerics) == narrow->numerics);
  CHECK(std::string_view(wide->numerics) != runnable("generic")->numerics);
  for (uint32_t seed = 0; seed < 400; ++seed) {
    const RandomProduct product(seed);
    INFO(product.describe());
    CHECK(product.run(*narrow) == product.run(*wide));
  }
}

TEST_CASE("the AVX-512 VNNI bundle gives the AVX2 bundle's products bit for bit") {
  check_equal_to_avx2("avx512vnni");
}

TEST_CASE("the AMX bundle gives the AVX2 bundle's products bit for bit") {
  check_equal_to_avx2("amx");
}

}  // namespace
}  // namespace lectern
