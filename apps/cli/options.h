// Options that several commands share, and where their values come from when no flag gives them:
// flag > environment > project file > user file > default.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

namespace lectern::cli {

struct SharedOptions {
  std::string model;          // id or path; LECTERN_MODEL, "model"; default: the registry's default model
  int threads = 0;            // LECTERN_THREADS, "threads"; 0: one per processor
  std::string device;         // LECTERN_DEVICE, "device": auto, cpu, cuda or cuda:N; "": auto
  std::string kv;             // LECTERN_KV, "kv": how the KV cache is kept, f16 or int8; "": f16
  bool fp8 = false;           // prompts are read with 8-bit floats; CUDA only
  bool dense = false;         // texts above 32,768 tokens are read in full
  std::string extend;         // "dca", or "": the context that the model was made for
  std::string sparse_config;  // file of sparse attention budgets; "": the model's own, if it has any
  int max_context = 0;  // LECTERN_MAX_CONTEXT, "max_context": tokens of the context at most; 0: the model's
  // LECTERN_KEPT_GB, "kept_gb": what documents that were read whole may take on disk; 0: none is kept
  std::optional<double> kept_gb;
  std::string
      collection;  // path of a database file; LECTERN_COLLECTION, "collection"; "": that of the folder
  // A model behind an OpenAI-compatible URL instead. Never from a project's file: a folder from elsewhere
  // must not choose where documents and the key are sent.
  std::string llm;           // LECTERN_LLM, "llm"
  std::string llm_model;     // LECTERN_LLM_MODEL, "llm_model"
  std::string llm_key_file;  // "llm_key_file"; relative to the settings file
  std::string helper_model;  // a local one for the cheap calls; "": the model itself
  int llm_context = 0;       // LECTERN_LLM_CONTEXT, "llm_context"; 0: as the server tells
  bool json = false;
  bool quiet = false;
};

// --model, --device, --threads, --kv, --extend, --sparse-config, --fp8, --dense, --max-context
void add_model_options(CLI::App* command, SharedOptions& options);
// --helper-model
void add_helper_option(CLI::App* command, SharedOptions& options);
// --llm, --llm-model, --llm-key-file, --llm-context, --helper-model
void add_llm_options(CLI::App* command, SharedOptions& options);
// --kept-gb
void add_kept_option(CLI::App* command, SharedOptions& options);
// --collection
void add_collection_option(CLI::App* command, SharedOptions& options);
// --json, --quiet
void add_output_options(CLI::App* command, SharedOptions& options);

// Fills what no flag gave, from the environment, from `.lectern.json` in the current folder or the nearest
// folder above it, and from config.json in the user's configuration folder. Throws Error that names the file
// and the key.
void complete_options(SharedOptions& options);

}  // namespace lectern::cli
