// /v1/files: uploads, as OpenAI's clients expect them.
#include "apps/server/ids.h"
#include "apps/server/page_of.h"
#include "apps/server/routes.h"

namespace lectern::server {
namespace {

Json file_json(const FileRecord& file) {
  return {{"id", file.id},
          {"object", "file"},
          {"bytes", file.bytes},
          {"created_at", file.created},
          {"expires_at", nullptr},
          {"filename", file.filename},
          {"purpose", file.purpose},
          {"status", "processed"},
          {"status_details", nullptr}};
}

FileRecord file_of(Service& service, const std::string& id) {
  auto file = service.stores().catalog().file(id);
  if (!file) throw HttpError(404, "there is no file \"" + id + "\"", "file_not_found", "file_id");
  return std::move(*file);
}

void upload(Call& call, Service& service, const std::vector<FormPart>& parts) {
  const FormPart* file = nullptr;
  std::string purpose;
  for (const FormPart& part : parts) {
    if (part.name == "file") {
      if (file != nullptr) throw HttpError(400, "upload one file at a time", "invalid_value", "file");
      file = &part;
    } else if (part.name == "purpose") {
      purpose = std::string(part.body.substr(0, 64));
    } else if (part.name.starts_with("expires_after")) {
      throw HttpError(400, "files stay until they are deleted: \"expires_after\" is not supported",
                      "unsupported_parameter", "expires_after");
    }
  }
  if (file == nullptr || !file->filename)
    throw HttpError(400, "the form has no \"file\"", "invalid_value", "file");
  if (purpose != "assistants" && purpose != "user_data")
    throw HttpError(400, "\"purpose\" is assistants or user_data", "invalid_value", "purpose");
  if (file->body.empty()) throw HttpError(400, "the file is empty", "invalid_value", "file");
  call.reply(file_json(service.stores().upload(*file->filename, purpose, file->body)));
}

void list(Call& call, Service& service) {
  const std::string purpose =
      call.request.has_param("purpose") ? call.request.get_param_value("purpose") : "";
  std::vector<Json> items;
  for (const FileRecord& file : service.stores().catalog().files())
    if (purpose.empty() || file.purpose == purpose) items.push_back(file_json(file));
  call.reply(page_of(call, std::move(items), kMaxFiles, kMaxFiles));
}

void remove(Call& call, Service& service) {
  const std::string id = call.path_part(1);
  const auto stores = service.stores().remove_file(id);
  if (!stores) throw HttpError(404, "there is no file \"" + id + "\"", "file_not_found", "file_id");
  for (const std::string& store : *stores) service.sync_store(store);
  call.reply({{"id", id}, {"object", "file"}, {"deleted", true}});
}

}  // namespace

void add_file_routes(Router& router, Service& service) {
  router.form("/v1/files",
              [&service](Call& call, const std::vector<FormPart>& parts) { upload(call, service, parts); });
  router.get("/v1/files", [&service](Call& call) { list(call, service); });
  router.get("/v1/files/([^/]+)",
             [&service](Call& call) { call.reply(file_json(file_of(service, call.path_part(1)))); });
  router.get("/v1/files/([^/]+)/content", [&service](Call& call) {
    // Never as what it might be: nothing that was uploaded is shown as a page of this server.
    call.response.set_header("Content-Disposition", "attachment");
    call.response.set_content(service.stores().content(file_of(service, call.path_part(1))),
                              "application/octet-stream");
  });
  router.remove("/v1/files/([^/]+)", [&service](Call& call) { remove(call, service); });
}

}  // namespace lectern::server
