#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#include "base/error.h"
#include "kernels/cpu/dispatch.h"
#include "tests/support/catch.h"

namespace lectern {
namespace {

TEST_CASE("bundles have distinct names and the last runs everywhere") {
  std::set<std::string> names;
  for (const KernelTable* table : all_kernel_tables()) CHECK(names.insert(table->name).second);
  CHECK(std::string(all_kernel_tables().back()->name) == "generic");
  CHECK(can_run(*all_kernel_tables().back()));
}

TEST_CASE("an unknown bundle fails loudly and names those there are") {
  for (const char* name : {"avx3", "", "GENERIC", "generic "}) {
    try {
      kernel_table(name);
      FAIL("no error for '" << name << "'");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kInvalidArgument);
      for (const KernelTable* table : all_kernel_tables()) {
        CHECK(std::string(error.what()).find(table->name) != std::string::npos);
      }
    }
  }
}

TEST_CASE("bundles are found by name, or refused where the processor lacks their instructions") {
  for (const KernelTable* table : all_kernel_tables()) {
    if (can_run(*table)) {
      CHECK(&kernel_table(table->name) == table);
    } else {
      try {
        kernel_table(table->name);
        FAIL("no error for '" << table->name << "'");
      } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::kUnsupported);
        CHECK(std::string(error.what()).find("'" + std::string(table->name) + "'") != std::string::npos);
      }
    }
  }
}

// Linux detects by itself what is detected here. It may refuse the tiles to a process of a processor that has
// them.
TEST_CASE("a bundle that runs needs no instructions but those that Linux lists") {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && line.rfind("flags", 0) != 0) {
  }
  if (line.rfind("flags", 0) != 0) LECTERN_SKIP("no /proc/cpuinfo of an x86 processor");
  const std::pair<std::string, std::string> needs[] = {{"avx2", "f16c"},
                                                       {"avx2", "avx2"},
                                                       {"avx512vnni", "avx512_vnni"},
                                                       {"amx", "amx_tile"},
                                                       {"amx", "amx_int8"}};
  for (const KernelTable* table : all_kernel_tables()) {
    for (const auto& [bundle, flag] : needs) {
      if (bundle != table->name || !can_run(*table)) continue;
      INFO(bundle << " needs " << flag);
      CHECK((line + " ").find(" " + flag + " ") != std::string::npos);
    }
  }
}

// CTest runs this file once for each bundle with LECTERN_ISA set (label isa).
TEST_CASE("the bundle in force is the forced one, or the best that runs") {
  const char* forced = std::getenv("LECTERN_ISA");
  if (forced != nullptr && *forced != '\0') {
    CHECK(std::string(active_kernel_table().name) == forced);
  } else {
    for (const KernelTable* table : all_kernel_tables()) {
      if (!can_run(*table)) continue;
      CHECK(&active_kernel_table() == table);
      break;
    }
  }
}

}  // namespace
}  // namespace lectern
