// What the chat and the responses routes read and write in the same way, as OpenAI's clients expect it. Pure
// functions.
#pragma once

#include <memory>

#include "apps/server/chat_job.h"

namespace lectern::server {

// "seed" and "stop", which OpenAI's and Ollama's clients send alike.
void read_seed_and_stop(const Fields& fields, GenerateRequest& request);
// temperature, top_p, top_k, repetition_penalty, seed, stop, max_tokens, max_completion_tokens; defaults as
// the Qwen2.5 models are published with. Throws HttpError(400).
GenerateRequest read_sampling(const Fields& fields);

// The grammar that a format asks for; null for plain text. `outer`: the object that holds the "schema", may
// be null. Throws HttpError(400) naming `param`.
std::shared_ptr<const Grammar> grammar_of_format(const Json& format, const Json* outer, const char* param);

// {"id", "type": "function", "function": {"name", "arguments": JSON in a string}} with a new id.
Json tool_call_json(const ToolCall& call);

// file_citation as the Responses API writes it, with the quote and its place as well. `index` counts
// characters of the answer up to the marker.
Json annotations_json(const ChatResult& result);

}  // namespace lectern::server
