// The bundles' tables, one a source file; dispatch.cc lists them. Plain data, never changed.
#pragma once

#include "kernels/cpu/kernel_table.h"

namespace lectern {

extern const KernelTable kGenericKernels;
// Only where the compiler targets x86-64:
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512VnniKernels;
extern const KernelTable kAmxKernels;

}  // namespace lectern
