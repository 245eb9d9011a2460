#include "apps/server/response_input.h"

#include "apps/server/chat_wire.h"
#include "apps/server/store_search.h"

namespace lectern::server {
namespace {

constexpr size_t kMaxItems = 512;

[[noreturn]] void wrong(const std::string& param, const std::string& what) {
  throw HttpError(400, what, "invalid_value", param);
}

[[noreturn]] void refuse(const char* name, const std::string& what) {
  throw HttpError(400, "\"" + std::string(name) + "\" " + what, "unsupported_parameter", name);
}

// A string, or a list of parts with "text".
std::string text_of(const Json* content, const std::string& where) {
  if (content == nullptr) return "";
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) wrong(where, where + " has content that is neither text nor a list of parts");
  std::string text;
  for (const Json& part : *content) {
    const std::string type = part.is_object() ? Fields(part).text_or("type", "") : "";
    if (type != "input_text" && type != "output_text" && type != "text")
      wrong(
          where,
          where + " has a part that is not {\"type\": \"input_text\", \"text\"}: this model reads only text");
    text += Fields(part).text_or("text", "");
  }
  return text;
}

void read_message(const Json& item, const std::string& where, std::vector<ChatMessage>& turns) {
  const Fields fields(item);
  const std::string role = fields.text_or("role", "");
  ChatMessage turn;
  if (role == "system" || role == "developer") {
    turn.role = Role::kSystem;
  } else if (role == "assistant") {
    turn.role = Role::kAssistant;
  } else if (role != "user") {
    wrong(where, where + " has a role that is not user, assistant, system or developer");
  }
  turn.content = text_of(fields.find("content"), where);
  turns.push_back(std::move(turn));
}

void read_call(const Json& item, const std::string& where, std::vector<ChatMessage>& turns) {
  ToolCall call;
  call.name = Fields(item).text("name");
  try {
    call.arguments = parse_json(Fields(item).text("arguments"), "the arguments");
  } catch (const HttpError&) {
    throw;
  } catch (const Error& error) {
    wrong(where, where + ": " + error.what());
  }
  if (!call.arguments.is_object()) wrong(where, where + " has arguments that are not an object");
  // Calls that follow each other, or a text of the assistant, are one turn.
  if (turns.empty() || turns.back().role != Role::kAssistant) turns.push_back({Role::kAssistant, "", {}});
  turns.back().tool_calls.push_back(std::move(call));
}

void read_items(const Json* input, std::vector<ChatMessage>& turns) {
  if (input == nullptr) wrong("input", "\"input\" is missing");
  if (input->is_string()) {
    turns.push_back({Role::kUser, input->get<std::string>(), {}});
    return;
  }
  if (!input->is_array() || input->empty() || input->size() > kMaxItems)
    wrong("input", "\"input\" is a string or an array of 1 to " + std::to_string(kMaxItems) + " items");
  for (size_t i = 0; i < input->size(); ++i) {
    const Json& item = (*input)[i];
    const std::string where = "input[" + std::to_string(i) + "]";
    if (!item.is_object()) wrong(where, where + " must be an object");
    const std::string type = Fields(item).text_or("type", "message");
    if (type == "message") {
      read_message(item, where, turns);
    } else if (type == "function_call") {
      read_call(item, where, turns);
    } else if (type == "function_call_output") {
      turns.push_back({Role::kTool, text_of(Fields(item).find("output"), where), {}});
    } else if (type != "file_search_call") {  // what was found is looked for again
      wrong(where, where + " has the type \"" + type +
                       "\": message, function_call and function_call_output are known here");
    }
  }
}

void read_file_search(Service& service, const Json& tool, const std::string& where,
                      ResponseRequest& request) {
  const Fields fields(tool);
  if (request.searches) wrong(where, where + ": there can be one file_search");
  request.searches = true;
  const std::vector<std::string> ids = fields.texts("vector_store_ids", 2);
  if (ids.size() != 1)
    wrong(where, where + ": an answer comes from one vector store: name one in \"vector_store_ids\"");
  request.job.collection = store_view(service, ids.front()).collection->id;
  StoreQuery query = read_store_query(fields, 10);
  if (query.score_threshold > 0)
    wrong(
        where,
        where + ": \"score_threshold\" is for /v1/vector_stores/ID/search; the agent judges passages itself");
  if (fields.find("max_num_results") != nullptr) request.job.max_passages = query.max_results;
  request.job.filter = std::move(query.filter);
}

void read_tools_into(Service& service, const Fields& fields, ResponseRequest& request) {
  const Json* tools = fields.find("tools");
  Json functions = Json::array();
  if (tools != nullptr && (!tools->is_array() || tools->size() > kMaxTools))
    wrong("tools", "\"tools\" must be an array of at most " + std::to_string(kMaxTools));
  for (size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    const Json& tool = (*tools)[i];
    const std::string where = "tools[" + std::to_string(i) + "]";
    const std::string type = tool.is_object() ? Fields(tool).text_or("type", "") : "";
    if (type == "file_search") {
      read_file_search(service, tool, where, request);
    } else if (type == "function") {
      functions.push_back(tool);
    } else {
      wrong(where, where + " must have the type function or file_search");
    }
  }
  if (request.searches && !functions.empty())
    wrong("tools",
          "file_search and functions cannot be offered together: an answer from documents calls nothing");
  const Json* choice = fields.find("tool_choice");
  const Json given = choice != nullptr ? *choice : Json("auto");
  request.echo["tools"] = tools != nullptr ? *tools : Json::array();
  request.echo["tool_choice"] = given;
  if (request.searches) {
    const bool is_search = given.is_object() && Fields(given).text_or("type", "") == "file_search";
    if (given == "none") {  // the model alone, then
      request.searches = false;
      request.job.collection.reset();
    } else if (!is_search && given != "auto" && given != "required") {
      wrong("tool_choice", "\"tool_choice\" is none, auto, required or {\"type\": \"file_search\"}");
    }
    return;
  }
  request.job.tools =
      read_tools(functions, choice, fields.flag("parallel_tool_calls", true), ToolForm::kFlat);
}

void refuse_unsupported(const Fields& fields) {
  if (fields.flag("background", false)) refuse("background", "is not supported: keep the connection open");
  for (const char* name : {"conversation", "prompt"})
    if (fields.find(name) != nullptr) refuse(name, "is not supported; send \"input\"");
  if (fields.text_or("truncation", "disabled") != "disabled")
    refuse("truncation", "must be disabled: nothing is cut silently");
  if (fields.integer("top_logprobs", 0, 0, 20) != 0) refuse("top_logprobs", "is not supported");
}

}  // namespace

ResponseRequest read_response_request(Service& service, const Fields& fields,
                                      std::vector<ChatMessage> earlier) {
  refuse_unsupported(fields);
  ResponseRequest request;
  read_model_name(fields, request.job);
  request.turns = std::move(earlier);
  read_items(fields.find("input"), request.turns);
  request.job.generate = read_sampling(fields);
  request.job.generate.max_new_tokens = static_cast<int>(
      fields.integer("max_output_tokens", request.job.generate.max_new_tokens, 1, kMaxAnswerTokens));
  const bool from_model_name = request.job.collection.has_value();
  read_tools_into(service, fields, request);
  request.searches = request.searches || from_model_name;
  Json text{{"format", {{"type", "text"}}}};
  if (const Json* given = fields.find("text"); given != nullptr && given->is_object()) {
    if (const Json* format = Fields(*given).find("format")) {
      if (!format->is_object()) wrong("text", "\"text.format\" must be an object");
      request.job.generate.grammar = grammar_of_format(*format, format, "text");
      text["format"] = *format;
    }
  }
  if (request.job.generate.grammar && (request.searches || request.job.tools.offered()))
    refuse("text", "asks for a form, which answers from documents and calls of tools do not have");
  if (const Json* include = fields.find("include"); include != nullptr && include->is_array())
    for (const Json& item : *include) request.with_results |= item == "file_search_call.results";
  request.stream = fields.flag("stream", false);
  request.store = fields.flag("store", true);
  const std::string instructions = fields.text_or("instructions", "");
  if (!instructions.empty()) request.job.messages.push_back({Role::kSystem, instructions, {}});
  request.job.messages.insert(request.job.messages.end(), request.turns.begin(), request.turns.end());

  Json& echo = request.echo;
  echo["instructions"] = instructions.empty() ? Json(nullptr) : Json(instructions);
  const std::string previous = fields.text_or("previous_response_id", "");
  echo["previous_response_id"] = previous.empty() ? Json(nullptr) : Json(previous);
  echo["max_output_tokens"] =
      fields.find("max_output_tokens") ? *fields.find("max_output_tokens") : Json(nullptr);
  echo["temperature"] = request.job.generate.sampling.temperature;
  echo["top_p"] = request.job.generate.sampling.top_p;
  echo["parallel_tool_calls"] = fields.flag("parallel_tool_calls", true);
  echo["metadata"] = read_attributes(fields.find("metadata"), "metadata", /*only_texts=*/true);
  echo["text"] = std::move(text);
  echo["truncation"] = "disabled";
  echo["store"] = request.store;
  return request;
}

}  // namespace lectern::server
