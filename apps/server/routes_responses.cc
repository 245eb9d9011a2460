// /v1/responses: as OpenAI's clients expect it. With the file_search tool the agent answers from a vector
// store.
#include <list>
#include <map>

#include "apps/server/ids.h"
#include "apps/server/response_events.h"
#include "apps/server/response_input.h"
#include "apps/server/routes.h"

namespace lectern::server {
namespace {

// Responses that later ones may go on from, in memory: the oldest make room. Thread-safe.
class KeptResponses {
 public:
  struct Entry {
    Json response;
    std::vector<ChatMessage> turns;  // with the answer
  };

  void keep(Entry entry) {
    const auto id = entry.response["id"].get<std::string>();
    size_t bytes = dump_json(entry.response).size();
    for (const ChatMessage& turn : entry.turns) bytes += turn.content.size();
    const std::lock_guard lock(mutex_);
    if (bytes > kMaxBytes) return;
    while (!order_.empty() && (order_.size() >= kMaxEntries || bytes_ + bytes > kMaxBytes))
      erase(order_.front());
    order_.push_back(id);
    entries_[id] = {std::move(entry), bytes};
    bytes_ += bytes;
  }

  // Throws HttpError(404).
  Entry find(const std::string& id, const char* param) const {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end())
      throw HttpError(404,
                      "there is no response \"" + id + "\": the last " + std::to_string(kMaxEntries) +
                          " are kept until the server ends",
                      "response_not_found", param);
    return found->second.first;
  }

  void remove(const std::string& id) {
    const std::lock_guard lock(mutex_);
    erase(id);
  }

 private:
  static constexpr size_t kMaxEntries = 256, kMaxBytes = 64 << 20;

  void erase(const std::string id) {  // a copy: it may be the one in the list
    const auto found = entries_.find(id);
    if (found == entries_.end()) return;
    bytes_ -= found->second.second;
    entries_.erase(found);
    order_.remove(id);
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::pair<Entry, size_t>> entries_;
  std::list<std::string> order_;
  size_t bytes_ = 0;
};

// Runs the chat and tells the builder of it. Returns what the model said as a turn.
ChatMessage run(PreparedChat& chat, const ResponseRequest& request, ResponseBuilder& builder,
                const CancelToken& cancel) {
  builder.begin();
  ChatResult result;
  if (request.searches) {
    builder.begin_search();
    // What was found is known when the agent has ended: who wants to see it waits for the text.
    bool searching = true;
    std::string held;
    const std::string& question = request.turns.back().content;
    result = chat.run(
        [&](std::string_view text) {
          if (request.with_results) {
            held += text;
            return;
          }
          if (searching) builder.end_search(question, nullptr);
          searching = false;
          builder.add_text(text);
        },
        cancel);
    if (searching) builder.end_search(question, request.with_results ? results_json(result) : Json(nullptr));
    builder.add_text(held);
  } else {
    result = chat.run([&](std::string_view text) { builder.add_text(text); }, cancel,
                      [&](const ToolCall& call) { builder.add_call(call); });
  }
  builder.end_text(annotations_json(result));
  builder.complete(result);
  return {Role::kAssistant, result.text, result.calls};
}

void respond(Call& call, Service& service, const std::shared_ptr<KeptResponses>& kept, const Json& body) {
  const Fields fields(body);
  std::vector<ChatMessage> earlier;
  if (const std::string previous = fields.text_or("previous_response_id", ""); !previous.empty())
    earlier = kept->find(previous, "previous_response_id").turns;
  const auto request =
      std::make_shared<ResponseRequest>(read_response_request(service, fields, std::move(earlier)));
  const auto chat = std::make_shared<PreparedChat>(service, request->job, call.cancel);
  const std::string shown = fields.text_or("model", "");
  const std::string model = shown.empty() ? chat->model() : shown;
  const std::string id = new_id("resp_");
  const auto keep = [kept, request](const ResponseBuilder& builder, ChatMessage said) {
    if (!request->store) return;
    std::vector<ChatMessage> turns = request->turns;
    turns.push_back(std::move(said));
    kept->keep({builder.response(), std::move(turns)});
  };
  if (!request->stream) {
    ResponseBuilder builder(id, model, request->echo, {});
    keep(builder, run(*chat, *request, builder, call.cancel));
    return call.reply(builder.response());
  }
  const CancelToken cancel = call.cancel;
  stream_events(call, [chat, request, id, model, keep, cancel](EventWriter& writer) {
    ResponseBuilder builder(id, model, request->echo,
                            [&](const std::string& type, const Json& event) { writer.event(type, event); });
    try {
      keep(builder, run(*chat, *request, builder, cancel));
    } catch (const std::exception& error) {
      builder.fail(reply_of(error));
    }
  });
}

}  // namespace

void add_responses_routes(Router& router, Service& service) {
  const auto kept = std::make_shared<KeptResponses>();
  router.post("/v1/responses",
              [&service, kept](Call& call, const Json& body) { respond(call, service, kept, body); });
  router.get("/v1/responses/([^/]+)",
             [kept](Call& call) { call.reply(kept->find(call.path_part(1), "response_id").response); });
  router.remove("/v1/responses/([^/]+)", [kept](Call& call) {
    const std::string id = call.path_part(1);
    kept->find(id, "response_id");
    kept->remove(id);
    call.reply({{"id", id}, {"object", "response"}, {"deleted", true}});
  });
}

}  // namespace lectern::server
