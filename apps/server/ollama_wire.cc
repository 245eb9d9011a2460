#include "apps/server/ollama_wire.h"

#include <cctype>

#include "base/hash.h"

namespace lectern::server {

std::string ollama_time(std::time_t time) {
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof(text), "%FT%TZ", &parts));
}

// The size and the quantisation are parts of an id: "qwen2.5-coder-0.5b-instruct-q4_k_m".
Json ollama_details(const std::string& id) {
  std::string size, quantisation;
  for (size_t begin = 0; begin < id.size();) {
    const size_t end = std::min(id.find('-', begin), id.size());
    std::string part = id.substr(begin, end - begin);
    begin = end + 1;
    for (char& c : part) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (part.ends_with('B') && std::isdigit(static_cast<unsigned char>(part.front()))) size = part;
    if (part.size() > 1 && part.front() == 'Q' && std::isdigit(static_cast<unsigned char>(part[1])))
      quantisation = part;
  }
  return {{"parent_model", ""},     {"format", "gguf"},
          {"family", "qwen2"},      {"families", Json::array({"qwen2"})},
          {"parameter_size", size}, {"quantization_level", quantisation}};
}

Json ollama_tag(const std::string& name, const ModelInfo& model) {
  return {{"name", name},        {"model", name}, {"modified_at", ollama_time(model.modified)},
          {"size", model.bytes}, {"digest", ""},  {"details", ollama_details(model.id)}};
}

}  // namespace lectern::server
