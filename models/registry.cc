#include "models/registry.h"

#include <algorithm>
#include <limits>

#include "base/ascii.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/nearest.h"
#include "models/registry_json.h"

namespace lectern {
namespace {

struct Registry {
  std::vector<ModelEntry> models;
  std::string default_id;
};

// What every read of a field needs for its error.
struct Reader {
  const std::string& origin;
  std::string entry;

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorCode::kCorrupt, origin + ": " + (entry.empty() ? "" : "model " + entry + ": ") + why);
  }
  const Json& field(const Json& object, const char* name) const {
    if (!object.is_object() || !object.contains(name)) fail(std::string("\"") + name + "\" is missing");
    return object.at(name);
  }
  std::string text(const Json& object, const char* name) const {
    const Json& value = field(object, name);
    if (!value.is_string() || value.get_ref<const std::string&>().empty())
      fail(std::string("\"") + name + "\" must be a text");
    return value.get<std::string>();
  }
  uint64_t number(const Json& object, const char* name) const {
    const Json& value = field(object, name);
    if (!value.is_number_unsigned()) fail(std::string("\"") + name + "\" must be a whole number");
    return value.get<uint64_t>();
  }
  const Json& array(const Json& object, const char* name) const {
    const Json& value = field(object, name);
    if (!value.is_array()) fail(std::string("\"") + name + "\" must be a list");
    return value;
  }
};

bool is_sha256(const std::string& text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

ModelFileEntry parse_file(const Json& json, const Reader& reader) {
  ModelFileEntry file;
  file.name = reader.text(json, "name");
  if (file.name.find('/') != std::string::npos || file.name[0] == '.')
    reader.fail("bad file name " + file.name);
  if (json.contains("bytes")) file.bytes = reader.number(json, "bytes");
  if (json.contains("sha256")) file.sha256 = reader.text(json, "sha256");
  if (!file.sha256.empty() && !is_sha256(file.sha256)) reader.fail("bad sha256 of " + file.name);
  return file;
}

ModelSource parse_source(const Json& json, const Reader& reader) {
  ModelSource source;
  const std::string kind = reader.text(json, "kind");
  source.repository = reader.text(json, "repository");
  source.revision = reader.text(json, "revision");
  if (kind == "huggingface") {
    source.kind = ModelSource::Kind::kHuggingFace;
  } else if (kind == "modelscope") {
    source.kind = ModelSource::Kind::kModelScope;
  } else if (kind == "pip") {
    source.kind = ModelSource::Kind::kPip;
    const uint64_t parts = reader.number(json, "parts");
    if (parts < 1 || parts > 99) reader.fail("\"parts\" must be 1 to 99");
    source.n_parts = static_cast<int>(parts);
    source.member = reader.text(json, "member");
  } else {
    reader.fail("unknown source kind " + kind);
  }
  return source;
}

ModelEntry parse_entry(const Json& json, const std::string& origin) {
  Reader reader{origin, ""};
  ModelEntry entry;
  entry.id = reader.text(json, "id");
  reader.entry = entry.id;
  entry.family = reader.text(json, "family");
  entry.title = reader.text(json, "title");
  entry.licence = reader.text(json, "licence");
  const uint64_t context = reader.number(json, "context_length");
  if (context > static_cast<uint64_t>(std::numeric_limits<int>::max())) reader.fail("absurd context_length");
  entry.context_length = static_cast<int>(context);
  if (json.contains("folder")) entry.is_folder = json.at("folder") == true;
  for (const Json& file : reader.array(json, "files")) entry.files.push_back(parse_file(file, reader));
  for (const Json& source : reader.array(json, "sources"))
    entry.sources.push_back(parse_source(source, reader));
  if (entry.is_folder != entry.files.empty()) reader.fail("a folder lists no files, anything else does");
  if (entry.sources.empty()) reader.fail("no sources");
  return entry;
}

const Registry& compiled_in() {
  static const Registry instance = [] {
    const std::string origin = "models/registry.json";
    return Registry{parse_registry(kRegistryJson, origin),
                    Reader{origin, ""}.text(parse_json(kRegistryJson, origin), "default")};
  }();
  return instance;
}

constexpr std::string_view kQuantisationSuffix = "-q4_k_m";  // of every GGUF entry

}  // namespace

uint64_t ModelEntry::bytes() const {
  uint64_t total = 0;
  for (const ModelFileEntry& file : files) {
    if (file.bytes == 0) return 0;
    total += file.bytes;
  }
  return total;
}

std::string_view to_string(ModelSource::Kind kind) {
  switch (kind) {
    case ModelSource::Kind::kHuggingFace:
      return "huggingface";
    case ModelSource::Kind::kModelScope:
      return "modelscope";
    case ModelSource::Kind::kPip:
      return "pip";
  }
  return "";
}

std::vector<ModelEntry> parse_registry(std::string_view text, const std::string& origin) {
  const Json json = parse_json(text, origin);
  std::vector<ModelEntry> models;
  for (const Json& entry : Reader{origin, ""}.array(json, "models")) {
    models.push_back(parse_entry(entry, origin));
    for (size_t i = 0; i + 1 < models.size(); ++i)
      if (models[i].id == models.back().id) Reader{origin, models[i].id}.fail("listed twice");
  }
  return models;
}

std::span<const ModelEntry> registry() {
  return compiled_in().models;
}

std::string_view default_model_id() {
  return compiled_in().default_id;
}

const ModelEntry* find_model(std::string_view id) {
  const std::string wanted = ascii_lower(std::string(id));
  for (const ModelEntry& entry : registry())
    if (entry.id == wanted || entry.id == wanted + std::string(kQuantisationSuffix)) return &entry;
  return nullptr;
}

std::filesystem::path models_folder() {
  return cache_folder() / "models";
}

std::filesystem::path model_file_path(const ModelEntry& entry, size_t file) {
  if (entry.files.size() == 1) return models_folder() / (entry.id + ".gguf");
  return models_folder() / entry.files.at(file).name;
}

std::filesystem::path model_path(const ModelEntry& entry) {
  return entry.is_folder ? models_folder() / entry.id : model_file_path(entry, 0);
}

bool is_installed(const ModelEntry& entry) {
  std::error_code error;
  if (entry.is_folder) return std::filesystem::is_directory(model_path(entry), error);
  for (size_t i = 0; i < entry.files.size(); ++i)
    if (!std::filesystem::is_regular_file(model_file_path(entry, i), error)) return false;
  return true;
}

std::string did_you_mean_model(std::string_view id) {
  std::vector<std::string> ids;
  for (const ModelEntry& entry : registry()) {
    ids.push_back(entry.id);
    // The quantisation at the end may be left out.
    if (const size_t end = entry.id.find("-instruct-"); end != std::string::npos)
      ids.push_back(entry.id.substr(0, end + std::string_view("-instruct").size()));
  }
  const std::string meant = nearest(id, ids);
  return meant.empty() ? "" : "; did you mean " + meant + "?";
}

std::filesystem::path resolve_model(std::string_view id_or_path) {
  const std::string name(id_or_path);
  std::error_code error;
  if (!name.empty() && std::filesystem::exists(name, error)) return name;
  if (const ModelEntry* entry = find_model(name)) {
    if (is_installed(*entry)) return model_path(*entry);
    throw Error(ErrorCode::kNotFound,
                "model " + entry->id + " is not downloaded; get it with: lectern pull " + entry->id);
  }
  throw Error(ErrorCode::kNotFound, name + ": no model of that id and no such file" +
                                        did_you_mean_model(name) + "; `lectern models` lists the ids");
}

}  // namespace lectern
