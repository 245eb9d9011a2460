#include "engine/sparse_attention_config.h"

#include "base/error.h"
#include "base/files.h"
#include "engine/tensor.h"

namespace lectern {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{8} << 20;
constexpr const char* kPattern = "vertical_and_slash";
constexpr int kMaxBudget = 1 << 26;  // as many as positions
// The first 30 columns are always read, so that a budget of 30 would hold none that the text chooses. The
// models were measured with 130 where their files say 30, and so it is read here.
constexpr int kOnlySinks = 30, kInsteadOfOnlySinks = 130;

class Reader {
 public:
  Reader(const Qwen2Config& config, const std::string& origin) : config_(config), origin_(origin) {}

  SparseAttention read(const Json& json) const {
    const auto n_layers = static_cast<size_t>(config_.num_hidden_layers);
    if (!json.is_array() || json.size() != n_layers)
      fail(json.is_array() ? "has " + std::to_string(json.size()) + " layers" : "is no array",
           "an array of " + std::to_string(n_layers) + " layers, one for each of the model");
    SparseAttention layers;
    for (const Json& layer : json) layers.push_back(read_layer(layer, layers.size()));
    return layers;
  }

 private:
  std::vector<VerticalSlashBudget> read_layer(const Json& json, size_t layer) const {
    const auto n_heads = static_cast<size_t>(config_.num_attention_heads);
    const std::string at = "layer " + std::to_string(layer);
    if (!json.is_object() || json.size() != n_heads)
      fail(at + (json.is_object() ? " has " + std::to_string(json.size()) + " heads" : " is no object"),
           "an object of the " + std::to_string(n_heads) + " query heads of the model, \"0\" to \"" +
               std::to_string(n_heads - 1) + "\"");
    std::vector<VerticalSlashBudget> heads;
    for (size_t head = 0; head < n_heads; ++head) {
      const std::string at_head = at + ", head " + std::to_string(head);
      const auto found = json.find(std::to_string(head));
      if (found == json.end())
        fail(at_head + " is missing", "every query head, \"0\" to \"" + std::to_string(n_heads - 1) + "\"");
      heads.push_back(read_head(*found, at_head));
    }
    return heads;
  }

  VerticalSlashBudget read_head(const Json& json, const std::string& at) const {
    if (!json.is_array() || json.size() != 4 || !is_pattern(json[0]) || !is_budget(json[1]) ||
        !is_budget(json[2]) || !json[3].is_number())
      fail(at + " is " + quote(dump_json(json)),
           "[\"vertical_and_slash\", columns, diagonals, score], with 1 to " + std::to_string(kMaxBudget) +
               " columns and diagonals; Lectern knows no other pattern");
    const int vertical = json[1].get<int>();
    return {vertical == kOnlySinks ? kInsteadOfOnlySinks : vertical, json[2].get<int>()};
  }

  static bool is_pattern(const Json& json) {
    return json.is_string() && json.get_ref<const std::string&>() == kPattern;
  }

  static bool is_budget(const Json& json) {
    return json.is_number_integer() && json >= 1 && json <= kMaxBudget;
  }

  [[noreturn]] void fail(const std::string& what, const std::string& expected) const {
    throw Error(ErrorCode::kCorrupt, origin_ + ": sparse attention: " + what + "; expected is " + expected);
  }

  const Qwen2Config& config_;
  const std::string& origin_;
};

}  // namespace

SparseAttention read_sparse_attention(const Json& json, const Qwen2Config& config,
                                      const std::string& origin) {
  return Reader(config, origin).read(json);
}

SparseAttention read_sparse_attention_file(const std::filesystem::path& path, const Qwen2Config& config) {
  return read_sparse_attention(parse_json(read_file(path, kMaxBytes), path.string()), config, path.string());
}

std::string sparse_attention_json(const SparseAttention& budgets, double score) {
  Json layers = Json::array();
  for (const auto& heads : budgets) {
    Json layer = Json::object();
    for (size_t head = 0; head < heads.size(); ++head)
      layer[std::to_string(head)] = {kPattern, heads[head].vertical, heads[head].slash, score};
    layers.push_back(std::move(layer));
  }
  return dump_json(layers) + "\n";
}

}  // namespace lectern
