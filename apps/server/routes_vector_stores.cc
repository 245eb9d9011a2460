// /v1/vector_stores: collections as OpenAI's clients expect them. Those that clients make are theirs to
// change; the folders that are served can be listed and searched.
#include "apps/common/reports.h"
#include "apps/server/ids.h"
#include "apps/server/page_of.h"
#include "apps/server/routes.h"
#include "apps/server/store_search.h"
#include "apps/server/store_view.h"

namespace lectern::server {
namespace {

constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxBatch = 500;
constexpr int kPollMilliseconds = 100;

[[noreturn]] void wrong(const char* field, const std::string& what) {
  throw HttpError(400, "\"" + std::string(field) + "\" " + what, "invalid_value", field);
}

Json counts_json(const std::vector<StoreFile>& files, const std::string& batch = {}) {
  int64_t in_progress = 0, completed = 0, failed = 0, cancelled = 0;
  for (const StoreFile& file : files) {
    if (!batch.empty() && file.batch != batch) continue;
    ++(file.status == "in_progress" ? in_progress
       : file.status == "completed" ? completed
       : file.status == "failed"    ? failed
                                    : cancelled);
  }
  return {{"in_progress", in_progress},
          {"completed", completed},
          {"failed", failed},
          {"cancelled", cancelled},
          {"total", in_progress + completed + failed + cancelled}};
}

Json store_json(Service& service, const StoreView& view) {
  uint64_t bytes = 0;
  Json counts;
  if (view.read_only()) {
    const CollectionStats stats = view.collection->collection->stats();
    bytes = stats.text_bytes;
    counts = counts_json({});
    counts["completed"] = counts["total"] = stats.n_documents;
  } else {
    const std::vector<StoreFile> files = files_of(service, view);
    for (const StoreFile& file : files) bytes += file.file.bytes;
    counts = counts_json(files);
  }
  const bool busy =
      view.read_only() ? service.jobs().running(view.collection->id).has_value() : counts["in_progress"] != 0;
  const int64_t created = view.record ? view.record->created : 0;
  return {{"id", view.collection->id},
          {"object", "vector_store"},
          {"created_at", created},
          {"last_active_at", view.record ? Json(view.record->active) : Json(nullptr)},
          {"name", view.record ? view.record->name : view.collection->name},
          {"usage_bytes", bytes},
          {"status", busy ? "in_progress" : "completed"},
          {"file_counts", counts},
          {"metadata", view.record ? view.record->metadata : Json::object()},
          {"lectern", {{"read_only", view.read_only()}}}};
}

Json file_json(const StoreFile& file) {
  Json error = nullptr;
  if (file.status == "failed") error = {{"code", file.error_code}, {"message", file.error_message}};
  return {{"id", file.file.id},
          {"object", "vector_store.file"},
          {"created_at", file.created},
          {"vector_store_id", file.store},
          {"usage_bytes", file.file.bytes},
          {"status", file.status},
          {"last_error", error},
          {"attributes", file.attributes},
          {"chunking_strategy", {{"type", "other"}}},
          {"filename", file.file.filename}};
}

// Passages are always cut in one way (docs/retrieval.md), and stores do not expire.
void refuse_unsupported(const Fields& fields) {
  if (const Json* chunking = fields.find("chunking_strategy");
      chunking != nullptr && (!chunking->is_object() || Fields(*chunking).text_or("type", "") != "auto"))
    throw HttpError(400, "\"chunking_strategy\" is auto: passages have at most 512 characters",
                    "unsupported_parameter", "chunking_strategy");
  if (fields.find("expires_after") != nullptr)
    throw HttpError(400, "vector stores stay until they are deleted: \"expires_after\" is not supported",
                    "unsupported_parameter", "expires_after");
}

std::string name_of(const Fields& fields, const std::string& otherwise) {
  const std::string name = fields.text_or("name", otherwise);
  if (name.size() > kMaxNameBytes)
    wrong("name", "is longer than " + std::to_string(kMaxNameBytes) + " bytes");
  return name;
}

std::vector<Attachment> attachments_of(const Fields& fields) {
  std::vector<Attachment> files;
  const Json attributes = read_attributes(fields.find("attributes"), "attributes");
  for (const std::string& id : fields.texts("file_ids", kMaxBatch)) files.push_back({id, attributes});
  if (const Json* list = fields.find("files")) {
    if (!list->is_array() || list->size() > kMaxBatch)
      wrong("files", "must be an array of at most " + std::to_string(kMaxBatch));
    for (const Json& item : *list) {
      if (!item.is_object()) wrong("files", "are objects with a \"file_id\"");
      refuse_unsupported(Fields(item));
      files.push_back(
          {Fields(item).text("file_id"), read_attributes(Fields(item).find("attributes"), "files")});
    }
  }
  return files;
}

// A store that a client may change.
StoreView own_store(Service& service, const std::string& id) {
  StoreView view = store_view(service, id);
  if (view.read_only())
    throw HttpError(403, "\"" + id + "\" is a folder that is served: its files are changed there",
                    "read_only", "vector_store_id");
  return view;
}

StoreFile file_in(Service& service, const StoreView& view, const std::string& id) {
  for (StoreFile& file : files_of(service, view))
    if (file.file.id == id) return std::move(file);
  throw HttpError(404, "there is no file \"" + id + "\" in this vector store", "file_not_found", "file_id");
}

// Clients that wait for a file ask again after so long.
void reply_polled(const Call& call, const Json& json) {
  if (json["status"] == "in_progress")
    call.response.set_header("openai-poll-after-ms", std::to_string(kPollMilliseconds));
  call.reply(json);
}

void create(Call& call, Service& service, const Json& body) {
  const Fields fields(body);
  refuse_unsupported(fields);
  StoreRecord record;
  record.id = new_id("vs_");
  record.name = name_of(fields, "");
  record.metadata = read_attributes(fields.find("metadata"), "metadata", /*only_texts=*/true);
  record.created = record.active = unix_time();
  service.stores().catalog().add_store(record, attachments_of(fields));
  service.sync_store(record.id);
  call.reply(store_json(service, store_view(service, record.id)));
}

void modify(Call& call, Service& service, const Json& body) {
  StoreView view = own_store(service, call.path_part(1));
  const Fields fields(body);
  refuse_unsupported(fields);
  view.record->name = name_of(fields, view.record->name);
  if (fields.find("metadata") != nullptr)
    view.record->metadata = read_attributes(fields.find("metadata"), "metadata", /*only_texts=*/true);
  service.stores().catalog().update_store(*view.record);
  call.reply(store_json(service, view));
}

void remove(Call& call, Service& service) {
  const std::string id = own_store(service, call.path_part(1)).record->id;
  service.stores().catalog().remove_store(id);
  service.drop_store(id);
  call.reply({{"id", id}, {"object", "vector_store.deleted"}, {"deleted", true}});
}

void list_files(Call& call, Service& service, const StoreView& view, const std::string& batch = {}) {
  const std::string wanted = call.request.has_param("filter") ? call.request.get_param_value("filter") : "";
  if (!wanted.empty() && wanted != "in_progress" && wanted != "completed" && wanted != "failed" &&
      wanted != "cancelled")
    throw HttpError(400, "filter is in_progress, completed, failed or cancelled", "invalid_value", "filter");
  std::vector<Json> items;
  for (const StoreFile& file : files_of(service, view))
    if ((wanted.empty() || file.status == wanted) && (batch.empty() || file.batch == batch))
      items.push_back(file_json(file));
  call.reply(page_of(call, std::move(items), 20, 100));
}

void add_file(Call& call, Service& service, const Json& body) {
  const StoreView view = own_store(service, call.path_part(1));
  const Fields fields(body);
  refuse_unsupported(fields);
  const std::string id = fields.text("file_id");
  service.stores().catalog().attach(view.record->id,
                                    {{id, read_attributes(fields.find("attributes"), "attributes")}}, "");
  service.sync_store(view.record->id);
  reply_polled(call, file_json(file_in(service, view, id)));
}

void change_attributes(Call& call, Service& service, const Json& body) {
  const StoreView view = own_store(service, call.path_part(1));
  const StoreFile file = file_in(service, view, call.path_part(2));
  service.stores().catalog().set_attributes(view.record->id, file.file.id,
                                            read_attributes(Fields(body).find("attributes"), "attributes"));
  call.reply(file_json(file_in(service, view, file.file.id)));
}

void remove_file(Call& call, Service& service) {
  const StoreView view = own_store(service, call.path_part(1));
  const StoreFile file = file_in(service, view, call.path_part(2));
  service.stores().catalog().detach(view.record->id, file.file.id);
  service.sync_store(view.record->id);
  call.reply({{"id", file.file.id}, {"object", "vector_store.file.deleted"}, {"deleted", true}});
}

void file_content(Call& call, Service& service) {
  const StoreView view = store_view(service, call.path_part(1));
  const StoreFile file = file_in(service, view, call.path_part(2));
  Json data = Json::array();
  for (const auto& [document, known] : searchable_files(service, view, nullptr))
    if (known.file.id == file.file.id)
      data.push_back({{"type", "text"}, {"text", view.collection->collection->text(document)}});
  call.reply({{"object", "vector_store.file_content.page"},
              {"data", data},
              {"has_more", false},
              {"next_page", nullptr}});
}

Json batch_json(Service& service, const StoreView& view, const std::string& id) {
  const auto batch = service.stores().catalog().batch(view.record->id, id);
  if (!batch)
    throw HttpError(404, "there is no batch \"" + id + "\" in this vector store", "batch_not_found");
  const Json counts = counts_json(files_of(service, view), id);
  const std::string status = counts["in_progress"] != 0                                     ? "in_progress"
                             : counts["cancelled"] != 0                                     ? "cancelled"
                             : counts["failed"] != 0 && counts["failed"] == counts["total"] ? "failed"
                                                                                            : "completed";
  return {{"id", id},
          {"object", "vector_store.file_batch"},
          {"created_at", batch->created},
          {"vector_store_id", view.record->id},
          {"status", status},
          {"file_counts", counts}};
}

void add_batch(Call& call, Service& service, const Json& body) {
  const StoreView view = own_store(service, call.path_part(1));
  const Fields fields(body);
  refuse_unsupported(fields);
  const std::vector<Attachment> files = attachments_of(fields);
  if (files.empty()) wrong("file_ids", "names no file");
  const std::string id = new_id("vsfb_");
  service.stores().catalog().attach(view.record->id, files, id);
  service.sync_store(view.record->id);
  reply_polled(call, batch_json(service, view, id));
}

void add_batch_routes(Router& router, Service& service) {
  const std::string base = "/v1/vector_stores/([^/]+)/file_batches";
  router.post(base, [&service](Call& call, const Json& body) { add_batch(call, service, body); });
  router.get(base + "/([^/]+)", [&service](Call& call) {
    const StoreView view = own_store(service, call.path_part(1));
    reply_polled(call, batch_json(service, view, call.path_part(2)));
  });
  router.get(base + "/([^/]+)/files", [&service](Call& call) {
    const StoreView view = own_store(service, call.path_part(1));
    batch_json(service, view, call.path_part(2));
    list_files(call, service, view, call.path_part(2));
  });
  router.post(base + "/([^/]+)/cancel", [&service](Call& call, const Json&) {
    const StoreView view = own_store(service, call.path_part(1));
    batch_json(service, view, call.path_part(2));
    service.stores().catalog().cancel_batch(view.record->id, call.path_part(2));
    service.sync_store(view.record->id);
    call.reply(batch_json(service, view, call.path_part(2)));
  });
}

}  // namespace

void add_vector_store_routes(Router& router, Service& service) {
  const std::string base = "/v1/vector_stores", one = base + "/([^/]+)";
  router.post(base, [&service](Call& call, const Json& body) { create(call, service, body); });
  router.get(base, [&service](Call& call) {
    std::vector<Json> items;
    for (const StoreView& view : store_views(service)) items.push_back(store_json(service, view));
    call.reply(page_of(call, std::move(items), 20, 100));
  });
  router.get(one, [&service](Call& call) {
    reply_polled(call, store_json(service, store_view(service, call.path_part(1))));
  });
  router.post(one, [&service](Call& call, const Json& body) { modify(call, service, body); });
  router.remove(one, [&service](Call& call) { remove(call, service); });
  router.post(one + "/search", [&service](Call& call, const Json& body) {
    call.reply(search_page(service, store_view(service, call.path_part(1)), Fields(body)));
  });
  router.post(one + "/files", [&service](Call& call, const Json& body) { add_file(call, service, body); });
  router.get(one + "/files",
             [&service](Call& call) { list_files(call, service, store_view(service, call.path_part(1))); });
  router.get(one + "/files/([^/]+)", [&service](Call& call) {
    const StoreView view = store_view(service, call.path_part(1));
    reply_polled(call, file_json(file_in(service, view, call.path_part(2))));
  });
  router.post(one + "/files/([^/]+)",
              [&service](Call& call, const Json& body) { change_attributes(call, service, body); });
  router.remove(one + "/files/([^/]+)", [&service](Call& call) { remove_file(call, service); });
  router.get(one + "/files/([^/]+)/content", [&service](Call& call) { file_content(call, service); });
  add_batch_routes(router, service);
}

}  // namespace lectern::server
