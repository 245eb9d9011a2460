// Chooses the kernel bundle: the first in order of preference that this processor runs, or the one that the
// environment variable LECTERN_ISA names.
#pragma once

#include <span>
#include <string_view>

#include "kernels/cpu/kernel_table.h"

namespace lectern {

// All bundles compiled in, best first; `generic` is last and runs everywhere.
std::span<const KernelTable* const> all_kernel_tables();
bool can_run(const KernelTable& table);
// By name. Throws Error(kInvalidArgument) that lists the names when there is none such, kUnsupported when
// this processor cannot run it.
const KernelTable& kernel_table(std::string_view name);
// The bundle in force; reads LECTERN_ISA at the first call.
const KernelTable& active_kernel_table();

}  // namespace lectern
