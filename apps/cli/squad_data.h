// Question sets in SQuAD format (XQuAD, CMRC): articles of paragraphs, each with questions whose answers are
// spans of it. Input is checked; an Error names the file and the field.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/collection.h"
#include "retrieval/document.h"

namespace lectern {

struct SquadQuestion {
  std::string id;
  std::string question;
  std::vector<std::string> answers;  // at least one
  size_t number = 0;                 // in the file
  // The paragraph it is asked of: its article, and its bytes of the article's text.
  size_t article = 0;
  uint64_t paragraph_begin = 0, paragraph_end = 0;
};

// Whether bytes [begin, end) of the question's article, which read `text`, hold one of the answers where it
// is asked: in its own paragraph.
bool holds_answer(const SquadQuestion& question, uint64_t begin, uint64_t end, std::string_view text);

// For messages: "FILE: question ID", or its number from 1 where it has no id.
std::string place_of(const SquadQuestion& question, const std::filesystem::path& file);

struct SquadData {
  std::vector<Document> articles;  // the paragraphs of an article, a blank line between them
  std::vector<SquadQuestion> questions;
};

SquadData read_squad(const std::filesystem::path& path);

// A collection in memory that holds every article as a document, but those left out (empty: none); by path
// they are in the order of the articles.
std::unique_ptr<Collection> make_collection(const SquadData& data, const std::vector<bool>& left_out = {});

// Half of the articles, drawn by the seed: true for those to leave out, so that their questions have no
// answer.
std::vector<bool> leave_out_half(size_t n_articles, uint64_t seed);

// `limit` questions drawn without repeats, in the order drawn: the same for the same seed everywhere. 0: all,
// in the file's order.
std::vector<SquadQuestion> sample_questions(const SquadData& data, int limit, uint64_t seed);
// Which of `n` questions that are, by number.
std::vector<size_t> sample_numbers(size_t n, int limit, uint64_t seed);

}  // namespace lectern
