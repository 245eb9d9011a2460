// Downloads a model: resumable, verified before the file gets its final name, next source tried when one
// fails.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/progress.h"
#include "models/registry.h"

namespace lectern {

struct PullOptions {
  std::string source;  // "huggingface", "modelscope", "pip"; empty: all, in the registry's order
  bool offline = false;
  // Where the hubs are; other values are for mirrors and tests.
  std::string huggingface_url = "https://huggingface.co";
  std::string modelscope_url = "https://modelscope.cn";
};

// Where Hugging Face is: HF_ENDPOINT, as its own tools read it, or the hub.
std::string huggingface_endpoint();

struct PullReport {
  std::filesystem::path path;           // what --model opens
  bool was_there = false;               // nothing was downloaded
  std::string source;                   // which one gave it
  std::vector<std::string> failures;    // what the sources tried before said
  std::vector<std::string> unverified;  // files for which neither the registry nor the source has a SHA-256
};

// Quick when the model is already there. A broken-off download goes on where it stopped, at the next call.
// Throws Error: kUnavailable listing what each source said (also when another process is downloading the same
// model, or for `offline`), kCorrupt when a checksum did not match (the bad file is removed),
// kResourceExhausted when the disk has no room, kCancelled.
PullReport pull_model(const ModelEntry& entry, const PullOptions& options, const ProgressFn& progress,
                      const CancelToken& cancel);

}  // namespace lectern
