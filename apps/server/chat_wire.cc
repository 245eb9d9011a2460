#include "apps/server/chat_wire.h"

#include <random>

#include "apps/server/ids.h"
#include "apps/server/wire.h"
#include "base/utf8.h"

namespace lectern::server {

void read_seed_and_stop(const Fields& fields, GenerateRequest& request) {
  // Any seed of 64 bits, as a signed number; none: a new one each time.
  request.sampling.seed = fields.find("seed") == nullptr
                              ? std::random_device()()
                              : static_cast<uint64_t>(fields.integer("seed", 0, INT64_MIN, INT64_MAX));
  request.stop = fields.texts("stop", 16);
  for (const std::string& stop : request.stop)
    if (stop.empty() || stop.size() > 256)
      throw HttpError(400, "a stop string has 1 to 256 bytes", "invalid_value", "stop");
}

GenerateRequest read_sampling(const Fields& fields) {
  GenerateRequest request;
  const int64_t most = fields.integer("max_tokens", 1024, 1, kMaxAnswerTokens);
  request.max_new_tokens =
      static_cast<int>(fields.integer("max_completion_tokens", most, 1, kMaxAnswerTokens));
  request.sampling.temperature = static_cast<float>(fields.number("temperature", 0.7, 0, 2));
  request.sampling.top_p = static_cast<float>(fields.number("top_p", 0.8, 0, 1));
  request.sampling.top_k = static_cast<int>(fields.integer("top_k", 20, 0, 1000));
  request.sampling.repetition_penalty = static_cast<float>(fields.number("repetition_penalty", 1, 0.1, 10));
  read_seed_and_stop(fields, request);
  return request;
}

Json annotations_json(const ChatResult& result) {
  Json list = Json::array();
  if (!result.answer) return list;
  for (const Citation& citation : result.answer->citations) {
    const auto [file_id, filename] = result.file_of(citation.passage);
    const size_t at = result.text.find("[" + std::to_string(citation.number) + "]");
    Json json{
        {"type", "file_citation"},
        {"index", at == std::string::npos ? 0 : utf8::count(std::string_view(result.text).substr(0, at))},
        {"file_id", file_id},
        {"filename", filename}};
    json.update(citation_json(citation));
    list.push_back(std::move(json));
  }
  return list;
}

std::shared_ptr<const Grammar> grammar_of_format(const Json& format, const Json* outer, const char* param) {
  const auto fail = [&](const std::string& why) { throw HttpError(400, why, "invalid_value", param); };
  const std::string type = Fields(format).text_or("type", "");
  if (type == "text") return nullptr;
  if (type == "json_object") return Grammar::any_json_object();
  if (type != "json_schema")
    fail("the type of \"" + std::string(param) + "\" is text, json_object or json_schema");
  const Json* schema = outer != nullptr && outer->is_object() ? Fields(*outer).find("schema") : nullptr;
  if (schema == nullptr) fail("\"" + std::string(param) + "\" has no schema");
  try {
    return Grammar::from_json_schema(*schema);
  } catch (const Error& error) {
    throw HttpError(400, error.what(), "invalid_value", param);
  }
}

Json tool_call_json(const ToolCall& call) {
  return {{"id", new_id("call_")},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", dump_json(call.arguments)}}}};
}

}  // namespace lectern::server
