// How much faster an engine serves several clients at once than one after the other. One thread calls it; it
// starts one a client.
#pragma once

#include <memory>
#include <vector>

#include "base/cancel.h"
#include "engine/engine.h"

namespace lectern::cli {

inline constexpr int kMostClients = 64;
// Of every client's request: tokens of its prompt, and of its answer unless the model ends it before.
inline constexpr int kClientPrompt = 256, kClientAnswer = 64;

struct ClientSpeed {
  int n_clients;
  int n_same;                          // whose answer was the same alone: all of them on the CPU
  double alone_tok_s, together_tok_s;  // new tokens; reading the prompts counts in the time
};

// One measurement for each of `n_clients`, 1 to kMostClients, on Options::device, which is not kAuto. Prompts
// have nothing in common, answers are greedy, and no tokens are guessed. Every measurement loads the model
// anew, so that nothing is in the prefix cache. Throws Error; kCorrupt when an answer given beside others is
// not what it was alone, on the CPU, where it must be.
std::vector<ClientSpeed> measure_clients(const std::shared_ptr<const ModelFile>& model,
                                         const Engine::Options& engine_options,
                                         const std::vector<int>& n_clients, const CancelToken& cancel);

}  // namespace lectern::cli
