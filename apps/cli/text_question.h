// A question about one long text, answered by the model that reads it whole or by the agent: what `eval
// needle` and `eval ruler` ask.
#pragma once

#include <string>
#include <string_view>

#include "agent/agent.h"
#include "apps/cli/command.h"
#include "engine/engine.h"

namespace lectern::cli {

struct TextReply {
  std::string text;
  int prompt_tokens = 0;
  int read_tokens = 0;              // of them, not in the KV cache from an earlier prompt
  int chunks = 0, chunks_read = 0;  // of the agent
};

// Both throw Error(kCancelled) when cancelled.
TextReply read_whole(Engine& engine, const std::string& prompt, std::string_view reply_prefix,
                     int max_new_tokens, const CancelToken& cancel);
// The text is the only document of a collection; the reply is without its [n]. `model`: its name.
TextReply ask_agent(Engine& engine, Level level, const std::string& model, const std::string& text,
                    const std::string& question, const CancelToken& cancel);

// A model for texts of n_tokens tokens and their replies (whole), or for the agent's prompts. Throws
// Error(kInvalidArgument) when texts are longer than the model reads.
std::unique_ptr<Engine> load_reader(Program& program, bool whole, int n_tokens, int max_new_tokens);

// --level whole|1|2|auto, of a command that asks such questions.
void add_reader_level(CLI::App* command, std::string& level);

}  // namespace lectern::cli
