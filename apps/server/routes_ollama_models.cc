// /api/show, /api/pull, /api/ps, /api/delete: the models, as Ollama's clients expect them.
#include <cmath>
#include <ctime>

#include "apps/server/chat_job.h"
#include "apps/server/ollama_wire.h"
#include "apps/server/routes.h"
#include "models/pull.h"
#include "models/registry.h"

namespace lectern::server {
namespace {

// Qwen's chat template in Ollama's words, for people to read: the server has its own
// (engine/chat_template.h).
constexpr std::string_view kTemplate =
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end "
    "}}<|im_start|>assistant\n";

std::string model_name(const Fields& fields) {
  std::string name = fields.find("model") != nullptr ? fields.text("model") : fields.text("name");
  if (name.ends_with(":latest")) name.resize(name.size() - 7);
  return name;
}

void show(Call& call, Service& service, const Json& body) {
  std::string name = model_name(Fields(body));
  const bool rag = name.ends_with(kRagSuffix);
  if (rag) name.resize(name.size() - kRagSuffix.size());
  const std::string id = service.models().check(name);
  ModelInfo info;
  for (const ModelInfo& known : service.models().list())
    if (known.id == id) info = known;
  const ModelEntry* entry = find_model(id);
  Json capabilities = Json::array({"completion"});
  if (!rag) capabilities.push_back("tools");
  Json model_info{
      {"general.architecture", "qwen2"}, {"general.basename", id}, {"general.file_size", info.bytes}};
  if (entry != nullptr) {
    model_info["general.name"] = entry->title;
    model_info["general.license"] = entry->licence;
    model_info["qwen2.context_length"] = entry->context_length;
  }
  call.reply({{"modelfile", "# " + id + ", served by lectern\n"},
              {"parameters", "temperature 0.7\ntop_k 20\ntop_p 0.8"},
              {"template", kTemplate},
              {"license", entry != nullptr ? entry->licence : ""},
              {"modified_at", ollama_time(info.modified)},
              {"details", ollama_details(id)},
              {"model_info", std::move(model_info)},
              {"capabilities", std::move(capabilities)}});
}

// The lines of Ollama: what is done, then "success". A name that the registry does not have is an error line.
void pull(Call& call, const Json& body) {
  const Fields fields(body);
  const std::string name = model_name(fields);
  const bool streamed = fields.flag("stream", true);
  const ModelEntry* entry = find_model(name);
  const std::string unknown = "there is no model \"" + name + "\" in the registry" + did_you_mean_model(name);
  if (!streamed) {
    if (entry == nullptr) throw HttpError(404, unknown, "model_not_found", "model");
    pull_model(*entry, {}, {}, call.cancel);
    return call.reply({{"status", "success"}});
  }
  const CancelToken cancel = call.cancel;
  stream(
      call, "application/x-ndjson",
      [entry, unknown, cancel](EventWriter& writer) {
        const auto line = [&](const Json& json) { writer.raw(dump_json(json) + "\n"); };
        if (entry == nullptr) return line({{"error", unknown}});
        line({{"status", "pulling manifest"}});
        const auto on_progress = [&](const Progress& progress) {
          Json json{{"status", "pulling " + progress.item}, {"digest", progress.item}};
          if (progress.bytes_total > 0) {
            json["total"] = progress.bytes_total;
            json["completed"] = progress.bytes_done;
          }
          line(json);
        };
        pull_model(*entry, {}, on_progress, cancel);
        line({{"status", "success"}});
      },
      [](EventWriter& writer, const ErrorReply& error) {
        writer.raw(dump_json(Json{{"error", error.message}}) + "\n");
      });
}

void running(Call& call, Service& service) {
  Json list = Json::array();
  for (const ModelInfo& model : service.models().list()) {
    if (!model.loaded) continue;
    Json json = ollama_tag(model.id, model);
    json["size_vram"] = 0;
    // At the earliest: it may have been used a moment ago.
    json["expires_at"] = ollama_time(std::time(nullptr) + std::lround(service.models().idle_seconds()));
    list.push_back(std::move(json));
  }
  call.reply({{"models", list}});
}

}  // namespace

void add_ollama_model_routes(Router& router, Service& service) {
  router.post("/api/show", [&service](Call& call, const Json& body) { show(call, service, body); });
  router.post("/api/pull", [](Call& call, const Json& body) { pull(call, body); });
  router.get("/api/ps", [&service](Call& call) { running(call, service); });
  router.remove("/api/delete", [](Call&) {
    throw HttpError(403,
                    "models are shared with other programs and are not deleted by a request; delete their "
                    "files instead (lectern models lists them)",
                    "forbidden");
  });
}

}  // namespace lectern::server
