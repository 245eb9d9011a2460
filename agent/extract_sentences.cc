#include "agent/extract_sentences.h"

#include <algorithm>
#include <set>

#include "agent/chunk_judge.h"
#include "agent/languages.h"
#include "agent/reply_json.h"

namespace lectern {
namespace {

constexpr size_t kMaxChosen = 4;
constexpr int kMaxReplyTokens = 40;  // of four numbers of up to three digits

// One sentence a line: a line break within one would look like the next.
std::string numbered(std::string_view text, const std::vector<TextRange>& sentences) {
  std::string out;
  for (size_t i = 0; i < sentences.size(); ++i) {
    std::string line(sentences[i].of(text));
    std::replace(line.begin(), line.end(), '\n', ' ');
    if (i > 0) out += '\n';
    out += "(" + std::to_string(i + 1) + ") " + line;
  }
  return out;
}

Json schema(const std::string& key, const std::string& none, size_t n) {
  Json numbers = Json::array();
  for (size_t i = 1; i <= n; ++i) numbers.push_back(i);
  numbers.push_back(none);
  return {{"type", "object"},
          {"properties",
           {{key,
             {{"type", "array"},
              {"items", {{"enum", std::move(numbers)}}},
              {"minItems", 1},
              {"maxItems", kMaxChosen}}}}}};
}

}  // namespace

std::optional<std::vector<TextRange>> extract_sentences(const HelperContext& context,
                                                        const std::string& question,
                                                        const SourcePassage& chunk) {
  const std::vector<TextRange> sentences = split_sentences(chunk.text);
  if (sentences.empty()) return std::vector<TextRange>{};
  const std::string_view language = prompt_language(question);
  const std::string key = language == "zh" ? "句子" : "sentences";
  const std::string passage = fenced_passage(numbered(chunk.text, sentences));
  LmRequest request =
      helper_request("extract", language, {{"passage", passage}, {"question", question}}, kMaxReplyTokens);
  request.json_schema = schema(key, language == "zh" ? "无" : "none", sentences.size());
  const std::optional<Json> object = helper_object(context, request);
  if (!object) return std::nullopt;
  const auto list = object->find(key);
  if (list == object->end() || !list->is_array()) return std::nullopt;
  std::set<size_t> chosen;
  for (const Json& item : *list) {
    if (!item.is_number_integer()) continue;
    const auto number = item.get<int64_t>();
    if (number >= 1 && static_cast<size_t>(number) <= sentences.size())
      chosen.insert(static_cast<size_t>(number) - 1);
  }
  std::vector<TextRange> out;
  for (const size_t i : chosen) out.push_back(sentences[i]);
  return out;
}

}  // namespace lectern
