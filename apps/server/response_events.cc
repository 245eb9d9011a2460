#include "apps/server/response_events.h"

#include <algorithm>

#include "apps/server/ids.h"
#include "apps/server/wire.h"

namespace lectern::server {
namespace {

Json text_part(const std::string& text, Json annotations) {
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", std::move(annotations)},
          {"logprobs", Json::array()}};
}

Json response_usage(const ChatResult& result) {
  return {{"input_tokens", result.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", result.cached_prompt_tokens}}},
          {"output_tokens", result.new_tokens},
          {"output_tokens_details", {{"reasoning_tokens", 0}}},
          {"total_tokens", result.prompt_tokens + result.new_tokens}};
}

}  // namespace

Json results_json(const ChatResult& result) {
  Json list = Json::array();
  for (const SourcePassage& passage : result.answer->context) {
    const auto [file_id, filename] = result.file_of(passage);
    list.push_back({{"file_id", file_id},
                    {"filename", filename},
                    {"score", std::clamp(passage.score, 0.0, 1.0)},
                    {"attributes", Json::object()},
                    {"text", passage.text}});
  }
  return list;
}

ResponseBuilder::ResponseBuilder(std::string id, const std::string& model, const Json& echo, OnEvent on_event)
    : on_event_(std::move(on_event)) {
  response_ = {{"id", std::move(id)},     {"object", "response"},    {"created_at", unix_time()},
               {"status", "in_progress"}, {"error", nullptr},        {"incomplete_details", nullptr},
               {"model", model},          {"output", Json::array()}, {"usage", nullptr}};
  response_.update(echo);
}

void ResponseBuilder::send(const char* type, Json event) {
  if (!on_event_) return;
  Json whole{{"type", type}, {"sequence_number", sequence_++}};
  whole.update(event);
  on_event_(type, whole);
}

void ResponseBuilder::send_response(const char* type) {
  if (on_event_) send(type, {{"response", response_}});
}

Json ResponseBuilder::place() const {
  return {{"item_id", item_id_}, {"output_index", response_["output"].size()}};
}

void ResponseBuilder::begin_item(Json item) {
  item_id_ = item["id"].get<std::string>();
  send("response.output_item.added",
       {{"output_index", response_["output"].size()}, {"item", std::move(item)}});
}

void ResponseBuilder::end_item(Json item) {
  send("response.output_item.done", {{"output_index", response_["output"].size()}, {"item", item}});
  response_["output"].push_back(std::move(item));
}

void ResponseBuilder::begin() {
  send_response("response.created");
  send_response("response.in_progress");
}

void ResponseBuilder::begin_search() {
  begin_item({{"type", "file_search_call"},
              {"id", new_id("fs_")},
              {"status", "in_progress"},
              {"queries", Json::array()},
              {"results", nullptr}});
  send("response.file_search_call.in_progress", place());
  send("response.file_search_call.searching", place());
}

void ResponseBuilder::end_search(const std::string& query, const Json& results) {
  send("response.file_search_call.completed", place());
  end_item({{"type", "file_search_call"},
            {"id", item_id_},
            {"status", "completed"},
            {"queries", Json::array({query})},
            {"results", results}});
}

void ResponseBuilder::add_text(std::string_view text) {
  if (text.empty()) return;
  if (!in_text_) {
    in_text_ = true;
    text_.clear();
    begin_item({{"type", "message"},
                {"id", new_id("msg_")},
                {"status", "in_progress"},
                {"role", "assistant"},
                {"content", Json::array()}});
    Json event = place();
    event["content_index"] = 0;
    event["part"] = text_part("", Json::array());
    send("response.content_part.added", std::move(event));
  }
  text_ += text;
  Json event = place();
  event["content_index"] = 0;
  event["delta"] = std::string(text);
  event["logprobs"] = Json::array();
  send("response.output_text.delta", std::move(event));
}

void ResponseBuilder::end_text(const Json& annotations) {
  if (!in_text_) return;
  in_text_ = false;
  for (size_t i = 0; i < annotations.size(); ++i) {
    Json event = place();
    event["content_index"] = 0;
    event["annotation_index"] = i;
    event["annotation"] = annotations[i];
    send("response.output_text.annotation.added", std::move(event));
  }
  Json event = place();
  event["content_index"] = 0;
  event["text"] = text_;
  event["logprobs"] = Json::array();
  send("response.output_text.done", std::move(event));
  event = place();
  event["content_index"] = 0;
  event["part"] = text_part(text_, annotations);
  send("response.content_part.done", std::move(event));
  Json content = Json::array();
  content.push_back(text_part(text_, annotations));
  end_item({{"type", "message"},
            {"id", item_id_},
            {"status", "completed"},
            {"role", "assistant"},
            {"content", std::move(content)}});
}

void ResponseBuilder::add_call(const ToolCall& call) {
  end_text(Json::array());
  const std::string call_id = new_id("call_"), arguments = dump_json(call.arguments);
  Json item{{"type", "function_call"}, {"id", new_id("fc_")}, {"status", "in_progress"},
            {"call_id", call_id},      {"name", call.name},   {"arguments", ""}};
  begin_item(item);
  Json event = place();
  event["delta"] = arguments;
  send("response.function_call_arguments.delta", std::move(event));
  event = place();
  event["name"] = call.name;
  event["arguments"] = arguments;
  send("response.function_call_arguments.done", std::move(event));
  item["status"] = "completed";
  item["arguments"] = arguments;
  end_item(std::move(item));
}

void ResponseBuilder::complete(const ChatResult& result) {
  response_["usage"] = response_usage(result);
  if (result.answer) response_["lectern"] = answer_json(*result.answer, result.model);
  response_["status"] = result.truncated ? "incomplete" : "completed";
  if (result.truncated) {
    response_["incomplete_details"] = {{"reason", "max_output_tokens"}};
    send_response("response.incomplete");
  } else {
    response_["completed_at"] = unix_time();
    send_response("response.completed");
  }
}

void ResponseBuilder::fail(const ErrorReply& error) {
  response_["status"] = "failed";
  response_["error"] = {{"code", error.code.empty() ? "server_error" : error.code},
                        {"message", error.message}};
  send_response("response.failed");
}

}  // namespace lectern::server
