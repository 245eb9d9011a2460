// Question sets in SQuAD format (XQuAD, CMRC): articles of paragraphs, each with questions whose answers are
// spans of it. Input is checked; an Error names the file and the field.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "retrieval/collection.h"
#include "retrieval/document.h"

namespace lectern {

struct SquadQuestion {
  std::string id;
  std::string question;
  std::vector<std::string> answers;  // at least one
};

struct SquadData {
  std::vector<Document> articles;  // the paragraphs of an article, a blank line between them
  std::vector<SquadQuestion> questions;
};

SquadData read_squad(const std::filesystem::path& path);

// A collection in memory that holds every article as a document.
std::unique_ptr<Collection> make_collection(const SquadData& data);

// `limit` questions drawn without repeats, in the order drawn: the same for the same seed everywhere. 0: all,
// in the file's order.
std::vector<SquadQuestion> sample_questions(const SquadData& data, int limit, uint64_t seed);

}  // namespace lectern
