#include "apps/cli/multihop_data.h"

#include "apps/cli/json_entries.h"

namespace lectern {

std::vector<MultihopQuestion> read_multihop_questions(const std::filesystem::path& path) {
  std::vector<MultihopQuestion> questions;
  for_each_entry(path, [&](const JsonEntry& entry) {
    MultihopQuestion question;
    question.place = entry.place();
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
  for_each_entry(path, [&](const JsonEntry& entry) {
    Document document;
    document.format = "text";
    document.title = entry.string("title");
    document.text = entry.string("text");
    documents.push_back(std::move(document));
  });
  return documents;
}

}  // namespace lectern
