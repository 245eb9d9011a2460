#include "agent/tracer.h"

namespace lectern {
namespace {

std::string_view role_name(LmMessage::Role role) {
  switch (role) {
    case LmMessage::Role::kSystem:
      return "system";
    case LmMessage::Role::kUser:
      return "user";
    case LmMessage::Role::kAssistant:
      return "assistant";
  }
  return "";
}

Json describe(const LmRequest& request) {
  Json messages = Json::array();
  for (const LmMessage& message : request.messages) {
    messages.push_back({{"role", role_name(message.role)}, {"content", message.content}});
  }
  Json data = {{"messages", std::move(messages)}};
  if (!request.assistant_prefix.empty()) data["assistant_prefix"] = request.assistant_prefix;
  if (request.json_schema) data["json_schema"] = *request.json_schema;
  return data;
}

}  // namespace

void Tracer::add(TraceStep step) {
  trace_->seconds += step.seconds;
  trace_->prompt_tokens += step.prompt_tokens;
  trace_->cached_prompt_tokens += step.cached_prompt_tokens;
  trace_->new_tokens += step.new_tokens;
  trace_->steps.push_back(std::move(step));
  if (*on_step_) (*on_step_)(trace_->steps.back());
}

void Tracer::add(std::string kind, std::string detail, Json data) {
  TraceStep step;
  step.kind = std::move(kind);
  step.detail = std::move(detail);
  step.data = std::move(data);
  add(std::move(step));
}

LmReply Tracer::chat(LanguageModel& model, const LmRequest& request, const LmTextCallback& on_text,
                     const CancelToken& cancel) {
  cancel.throw_if_cancelled();
  TraceStep step;
  step.kind = request.purpose;
  step.data = describe(request);
  ++trace_->calls;
  const Stopwatch watch;
  LmReply reply;
  try {
    reply = model.chat(request, on_text, cancel);
  } catch (const Error& error) {
    step.seconds = watch.seconds();
    step.detail = std::string("failed: ") + error.what();
    step.data["error"] = error.what();
    add(std::move(step));
    throw;
  }
  step.seconds = watch.seconds();
  step.prompt_tokens = reply.prompt_tokens;
  step.cached_prompt_tokens = reply.cached_prompt_tokens;
  step.new_tokens = reply.new_tokens;
  step.data["reply"] = reply.text;
  step.data["truncated"] = reply.truncated;
  step.detail = request.purpose == "answer" ? std::to_string(reply.new_tokens) + " tokens" : reply.text;
  if (reply.truncated) step.detail += " (cut at the limit of new tokens)";
  if (reply.prefill_seconds > 0) step.data["prefill_seconds"] = reply.prefill_seconds;
  add(std::move(step));
  if (!reply.kept_problem.empty()) add("kept", reply.kept_problem);
  return reply;
}

}  // namespace lectern
