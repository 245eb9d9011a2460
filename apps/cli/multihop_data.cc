#include "apps/cli/multihop_data.h"

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"

namespace lectern {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

// One entry of a file that is a list.
class Entry {
 public:
  Entry(const Json& json, std::string place) : json_(json), place_(std::move(place)) {
    if (!json.is_object()) fail("is no object");
  }

  std::string string(const char* key) const {
    const Json& value = field(key);
    if (!value.is_string()) fail(std::string("has a \"") + key + "\" that is no string");
    return value.get<std::string>();
  }

  std::vector<std::string> strings(const char* key) const {
    const Json& value = field(key);
    std::vector<std::string> out;
    bool good = value.is_array();
    for (const Json& item : value) {
      good = good && item.is_string();
      if (good) out.push_back(item.get<std::string>());
    }
    if (!good) fail(std::string("has a \"") + key + "\" that is no list of strings");
    return out;
  }

  bool has(const char* key) const { return json_.contains(key); }
  const Json& field(const char* key) const {
    if (!has(key)) fail(std::string("has no \"") + key + "\"");
    return json_[key];
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::kCorrupt, place_ + " " + what);
  }

 private:
  const Json& json_;
  std::string place_;
};

template <typename Body>
void for_each_entry(const std::filesystem::path& path, const Body& body) {
  const Json root = parse_json(read_file(path, kMaxFileBytes), path.string());
  if (!root.is_array() || root.empty())
    throw Error(ErrorCode::kCorrupt, path.string() + ": is no list with something in it");
  for (size_t i = 0; i < root.size(); ++i)
    body(Entry(root[i], path.string() + ": entry " + std::to_string(i + 1)));
}

}  // namespace

std::vector<MultihopQuestion> read_multihop_questions(const std::filesystem::path& path) {
  std::vector<MultihopQuestion> questions;
  for_each_entry(path, [&](const Entry& entry) {
    MultihopQuestion question;
    question.question = entry.string("question");
    question.titles = entry.strings("supporting_titles");
    if (question.titles.empty()) entry.fail("has no title in \"supporting_titles\"");
    if (entry.has("aliases")) question.answers = entry.strings("aliases");
    question.answers.insert(question.answers.begin(), entry.string("answer"));
    question.score_answer = !entry.has("score_answer") || entry.field("score_answer") == true;
    questions.push_back(std::move(question));
  });
  return questions;
}

std::vector<Document> read_multihop_corpus(const std::filesystem::path& path) {
  std::vector<Document> documents;
  for_each_entry(path, [&](const Entry& entry) {
    Document document;
    document.format = "text";
    document.title = entry.string("title");
    document.text = entry.string("text");
    documents.push_back(std::move(document));
  });
  return documents;
}

}  // namespace lectern
