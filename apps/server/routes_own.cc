// /lectern/...: collections, documents, indexing, search and questions.
#include <charconv>

#include "apps/server/requests.h"
#include "apps/server/routes.h"
#include "apps/server/wire.h"
#include "base/clock.h"

namespace lectern::server {
namespace {

constexpr uint64_t kPieceBytes = 64 << 10, kMaxPieceBytes = 4 << 20;

uint64_t query_number(const Call& call, const char* name, uint64_t otherwise) {
  if (!call.request.has_param(name)) return otherwise;
  const std::string text = call.request.get_param_value(name);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    throw HttpError(400, std::string(name) + " must be a whole number of bytes", "invalid_value", name);
  return number;
}

void search(const Call& call, Service& service, const Json& body) {
  const Fields fields(body);
  const auto collection = service.collection(fields.text_or("collection", ""));
  const SearchRequest request = read_search(fields);
  const Stopwatch watch;
  const std::vector<SearchHit> hits = collection->collection->search(request);
  Json json{{"hits", hits_json(*collection->collection, request, hits)}};
  json["seconds"] = watch.seconds();
  call.reply(json);
}

void ask(Call& call, Service& service, const Json& body) {
  const Fields fields(body);
  const auto collection = service.collection(fields.text_or("collection", ""));
  const std::string model = fields.text_or("model", "");
  const AskRequest request = read_ask(fields);
  if (!fields.flag("stream", true)) {
    const Service::Asked asked = service.ask(*collection, model, request, {}, call.cancel);
    return call.reply(answer_json(asked.answer, asked.model));
  }
  service.models().check(model);  // one that is not there is no event
  const CancelToken cancel = call.cancel;
  stream_events(call, [&service, collection, model, request, cancel](EventWriter& writer) {
    AskEvents events;
    events.on_step = [&](const TraceStep& step) {
      writer.event("step", {{"kind", step.kind}, {"detail", step.detail}, {"seconds", step.seconds}});
    };
    events.on_progress = [&](const Progress& progress) {
      const bool bytes = progress.items_total == 0 && progress.bytes_total > 0;
      writer.event("progress", {{"done", bytes ? progress.bytes_done : progress.items_done},
                                {"total", bytes ? progress.bytes_total : progress.items_total},
                                {"unit", bytes ? "bytes" : progress.stage}});
    };
    events.on_text = [&](std::string_view text) {
      if (!text.empty()) writer.event("text", {{"text", std::string(text)}});
      return !cancel.cancelled();
    };
    const Service::Asked asked = service.ask(*collection, model, request, events, cancel);
    writer.event("answer", answer_json(asked.answer, asked.model));
  });
}

void watch_job(Call& call, Service& service, const std::string& id) {
  const CancelToken cancel = call.cancel;
  stream_events(call, [&service, id, cancel](EventWriter& writer) {
    uint64_t seen = ~uint64_t{0};
    while (!cancel.cancelled()) {
      const auto job = service.jobs().wait(id, seen, std::chrono::milliseconds(200));
      if (!job) return;
      if (job->ended()) return writer.event("end", to_json(*job));
      if (job->version != seen) writer.event("progress", to_json(*job));
      seen = job->version;
    }
  });
}

Job job_of(Service& service, const std::string& id) {
  const auto job = service.jobs().find(id);
  if (!job) throw HttpError(404, "there is no job " + id, "job_not_found");
  return *job;
}

}  // namespace

void add_own_routes(Router& router, Service& service) {
  router.get("/lectern/collections", [&service](Call& call) {
    Json list = Json::array();
    for (const auto& collection : service.collections())
      list.push_back(collection_json(*collection, service.jobs().running(collection->id)));
    call.reply({{"collections", list}});
  });
  router.get("/lectern/collections/([^/]+)/documents", [&service](Call& call) {
    const auto collection = service.collection(call.path_part(1));
    Json list = Json::array();
    for (const DocumentInfo& info : collection->collection->documents()) list.push_back(document_json(info));
    call.reply({{"documents", list}});
  });
  router.get("/lectern/collections/([^/]+)/documents/([^/]+)", [&service](Call& call) {
    const auto collection = service.collection(call.path_part(1));
    const DocumentInfo info = service.document(*collection, call.path_part(2));
    const uint64_t from = query_number(call, "begin", 0);
    const uint64_t to =
        query_number(call, "end", from > UINT64_MAX - kPieceBytes ? from : from + kPieceBytes);
    if (to < from || to - from > kMaxPieceBytes)
      throw HttpError(400, "end must lie at most " + std::to_string(kMaxPieceBytes) + " bytes after begin",
                      "invalid_value", "end");
    const std::string text = collection->collection->text(info.id);
    const auto [begin, end] = whole_characters(text, from, to);
    call.reply({{"id", info.id},
                {"path", info.path},
                {"title", info.title},
                {"text", text.substr(begin, end - begin)},
                {"begin", begin},
                {"end", end},
                {"text_bytes", text.size()}});
  });
  router.post("/lectern/collections/([^/]+)/index", [&service](Call& call, const Json&) {
    call.reply({{"job", to_json(service.index(service.collection(call.path_part(1))))}}, 202);
  });
  router.get("/lectern/jobs/([^/]+)",
             [&service](Call& call) { call.reply(to_json(job_of(service, call.path_part(1)))); });
  router.get("/lectern/jobs/([^/]+)/events",
             [&service](Call& call) { watch_job(call, service, job_of(service, call.path_part(1)).id); });
  router.remove("/lectern/jobs/([^/]+)", [&service](Call& call) {
    const Job job = job_of(service, call.path_part(1));
    service.jobs().cancel(job.id);
    call.reply(to_json(job_of(service, job.id)));
  });
  router.post("/lectern/search", [&service](Call& call, const Json& body) { search(call, service, body); });
  router.post("/lectern/ask", [&service](Call& call, const Json& body) { ask(call, service, body); });
}

}  // namespace lectern::server
