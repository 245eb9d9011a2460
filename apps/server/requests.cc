#include "apps/server/requests.h"

#include "apps/common/answers.h"
#include "apps/common/reports.h"
#include "apps/server/service.h"

namespace lectern::server {
namespace {

constexpr size_t kMaxTurns = 64;

std::vector<LmMessage> history_of(const Fields& fields) {
  std::vector<LmMessage> history;
  const Json* turns = fields.find("history");
  if (turns == nullptr) return history;
  if (!turns->is_array() || turns->size() > kMaxTurns)
    throw HttpError(400, "\"history\" must be an array of at most " + std::to_string(kMaxTurns) + " turns",
                    "invalid_value", "history");
  for (const Json& turn : *turns) {
    if (!turn.is_object())
      throw HttpError(400, "a turn is {\"role\", \"content\"}", "invalid_value", "history");
    const Fields of(turn);
    const std::string role = of.text("role");
    if (role != "user" && role != "assistant")
      throw HttpError(400, "the role of a turn is user or assistant", "invalid_value", "history");
    history.push_back(
        {role == "user" ? LmMessage::Role::kUser : LmMessage::Role::kAssistant, of.text("content")});
  }
  return history;
}

}  // namespace

SearchRequest read_search(const Fields& fields) {
  const std::string query = fields.text("query");
  if (query.size() > kMaxQueryBytes)
    throw HttpError(400, "\"query\" is longer than " + std::to_string(kMaxQueryBytes) + " bytes",
                    "invalid_value", "query");
  require_words(query, "query");
  return {.queries = {{query, 1.0}},
          .limit = static_cast<int>(fields.integer("limit", 10, 1, kMaxHits)),
          .sections = true,
          .documents = {},
          .follow_names = fields.flag("names", false)};
}

AskRequest read_ask(const Fields& fields) {
  AskRequest request;
  request.question = fields.text("question");
  if (request.question.size() > kMaxQuestionBytes)
    throw HttpError(400, "the question is longer than " + std::to_string(kMaxQuestionBytes) + " bytes",
                    "question_too_long", "question");
  require_words(request.question, "question");
  const auto level = parse_level(fields.text_or("level", "auto"));
  if (!level) throw HttpError(400, "\"level\" is auto, 0, 1, 2, 3, 4 or whole", "invalid_value", "level");
  request.level = *level;
  request.history = history_of(fields);
  request.seed = static_cast<uint64_t>(fields.integer("seed", 0, 0, INT64_MAX));
  request.max_answer_tokens = static_cast<int>(fields.integer("max_tokens", 512, 1, kMaxAnswerTokens));
  request.budget = parse_budget(fields.texts("budget", 8));
  return request;
}

}  // namespace lectern::server
