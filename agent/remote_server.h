// What an OpenAI-compatible server tells of a model, as far as it tells it.
#pragma once

#include <string>

#include "agent/remote_http.h"

namespace lectern {

struct RemoteModelInfo {
  std::string name;
  int context_tokens = 0;         // 0: not told
  double billion_parameters = 0;  // 0: not told, and not in the name
};

// Asks /models and, of llama.cpp's server, /props. An empty `model` stands for the only one there is. Throws
// Error: kUnavailable when no server answers or the key is refused, kInvalidArgument when it must be chosen,
// kCorrupt for an answer that cannot be. A server without these endpoints is fine when `model` is given.
RemoteModelInfo ask_about_model(RemoteHttp& http, const std::string& model, const CancelToken& cancel);

// Billions in a name such as "qwen2.5-coder-0.5b-instruct"; 0 when there are none.
double billions_in_name(const std::string& name);

// The server does not take the request as it is, and may take another. llama-cpp-python answers 500 to fields
// that it does not support.
bool is_refusal(const HttpReply& reply);

// The Error for a reply that is not 2xx: what the server said, and what to do.
[[noreturn]] void throw_http_error(const RemoteHttp& http, const HttpRequest& request,
                                   const HttpReply& reply);

}  // namespace lectern
