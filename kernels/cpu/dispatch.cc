#include "kernels/cpu/dispatch.h"

#include <array>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "kernels/cpu/bundles.h"
#include "kernels/cpu/cpu_features.h"

namespace lectern {
namespace {

constexpr const KernelTable* kTables[] = {
#if defined(LECTERN_X86_BUNDLES)
    &kAmxKernels,
    &kAvx512VnniKernels,
    &kAvx2Kernels,
#endif
    &kGenericKernels,
};

std::string list_names() {
  std::string names;
  for (const KernelTable* table : kTables) {
    if (!names.empty()) names += ", ";
    names += table->name;
    if (!can_run(*table)) names += " (this processor cannot run it)";
  }
  return names;
}

const KernelTable& choose() {
  const char* forced = std::getenv("LECTERN_ISA");
  if (forced != nullptr && *forced != '\0') return kernel_table(forced);
  for (const KernelTable* table : kTables) {
    if (can_run(*table)) return *table;
  }
  return kGenericKernels;
}

}  // namespace

std::span<const KernelTable* const> all_kernel_tables() {
  return kTables;
}

bool can_run(const KernelTable& table) {
  static const uint32_t features = detect_cpu_features();
  return (table.required_features & ~features) == 0;
}

const KernelTable& kernel_table(std::string_view name) {
  for (const KernelTable* table : kTables) {
    if (name != table->name) continue;
    if (can_run(*table)) return *table;
    throw Error(ErrorCode::kUnsupported, "LECTERN_ISA: this processor cannot run the kernel bundle '" +
                                             std::string(name) + "'; bundles: " + list_names());
  }
  throw Error(ErrorCode::kInvalidArgument,
              "LECTERN_ISA: no kernel bundle '" + std::string(name) + "'; bundles: " + list_names());
}

const KernelTable& active_kernel_table() {
  static const KernelTable& table = choose();
  return table;
}

}  // namespace lectern
