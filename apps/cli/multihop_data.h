// Question sets over several documents (2WikiMultihopQA as its researchers share it): a corpus of titled
// passages, and questions with the titles of the passages that they need. Input is checked; an Error names
// the file and the field.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "retrieval/document.h"

namespace lectern {

struct MultihopQuestion {
  std::string place;  // in the file, for messages
  std::string question;
  std::vector<std::string> titles;   // of the passages it needs, at least one
  std::vector<std::string> answers;  // the answer and its other forms
  bool score_answer = false;         // the answer can be compared
};

// A JSON list of {"question", "supporting_titles", "answer"} and optionally "aliases", "score_answer".
std::vector<MultihopQuestion> read_multihop_questions(const std::filesystem::path& path);

// Every {"title", "text"} of a JSON list, as a document of its own.
std::vector<Document> read_multihop_corpus(const std::filesystem::path& path);

}  // namespace lectern
