#include "agent/query_plan.h"

#include <algorithm>
#include <array>

#include "agent/languages.h"
#include "agent/reply_json.h"
#include "agent/text_terms.h"
#include "base/utf8.h"
#include "prompts/prompts.h"

namespace lectern {
namespace {

constexpr int kMaxSplitTokens = 160;
constexpr int kMaxKeywordTokens = 200;
constexpr int kMaxRewriteTokens = 96;
constexpr int kMaxKeywordsOfLanguage = 6;
constexpr int kMaxKeywordCharacters = 40;

Json list_schema(int min_items, int max_items, int max_length) {
  return {{"type", "array"},
          {"items", {{"type", "string"}, {"minLength", 1}, {"maxLength", max_length}}},
          {"minItems", min_items},
          {"maxItems", max_items}};
}

bool shares_term(std::string_view a, std::string_view b) {
  const std::vector<SupportTerm> of_b = support_terms(b);
  for (const SupportTerm& term : support_terms(a)) {
    if (std::any_of(of_b.begin(), of_b.end(), [&](const SupportTerm& t) { return t.text == term.text; }))
      return true;
  }
  return false;
}

// What a small model makes of a follow-up in place of a question: a statement that answers it, or one with
// the passage numbers of an earlier answer.
bool may_stand_for(std::string_view rewritten, std::string_view question) {
  static constexpr std::array<std::string_view, 2> kMarkers = {"[1", "[2"};
  return (!ends_in_question_mark(question) || ends_in_question_mark(rewritten)) &&
         (holds_any(question, kMarkers) || !holds_any(rewritten, kMarkers));
}

std::string keyword_key(std::string_view code, std::string_view prompts) {
  return prompts == "zh" ? "关键词" + language_name(code, "zh") : "keywords_" + std::string(code);
}

// The worked example's own keywords: a small model may copy them instead of answering.
std::vector<std::string> example_keywords(const LmRequest& request) {
  std::vector<std::string> out;
  for (const LmMessage& message : request.messages) {
    if (message.role != LmMessage::Role::kAssistant) continue;
    const std::optional<Json> object = reply_object(message.content);
    if (!object) continue;
    for (const auto& [key, unused] : object->items()) {
      for (std::string& word : string_list(*object, key)) out.push_back(std::move(word));
    }
  }
  return out;
}

std::string single_line(std::string text) {
  const size_t begin = text.find_first_not_of(" \t\r\n\"");
  if (begin == std::string::npos) return {};
  text = text.substr(begin, text.find('\n', begin) - begin);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r' || text.back() == '"')) text.pop_back();
  return text;
}

struct ShownHistory {
  std::string text;
  int turns = 0, dropped = 0, shortened = 0;
};

// The newest turns that fit; a long turn keeps its beginning.
ShownHistory show_history(const LanguageModel& model, const std::vector<LmMessage>& history, bool chinese,
                          int max_tokens) {
  constexpr size_t kMaxTurnBytes = 1200;
  ShownHistory shown;
  int tokens = 0;
  for (auto turn = history.rbegin(); turn != history.rend(); ++turn) {
    if (turn->role == LmMessage::Role::kSystem) continue;
    const bool user = turn->role == LmMessage::Role::kUser;
    std::string line = chinese ? (user ? "用户：" : "助手：") : (user ? "User: " : "Assistant: ");
    const std::string_view content = utf8::prefix(turn->content, kMaxTurnBytes);
    line += content;
    if (content.size() < turn->content.size()) line += "…";
    const int cost = model.count_tokens(line) + 1;
    if (shown.dropped > 0 || tokens + cost > max_tokens) {
      ++shown.dropped;
      continue;
    }
    if (content.size() < turn->content.size()) ++shown.shortened;
    tokens += cost;
    ++shown.turns;
    shown.text = shown.text.empty() ? line : line + "\n" + shown.text;
  }
  return shown;
}

const LmMessage* last_user_turn(const std::vector<LmMessage>& history) {
  const auto found = std::find_if(history.rbegin(), history.rend(),
                                  [](const LmMessage& m) { return m.role == LmMessage::Role::kUser; });
  return found == history.rend() ? nullptr : &*found;
}

}  // namespace

std::string QueryPlan::looked_up() const {
  std::string out;
  for (const std::string& item : information) out += (out.empty() ? "" : "\n") + item;
  return out;
}

std::vector<SourceQuery> QueryPlan::queries() const {
  std::vector<SourceQuery> out = {{question, 2.0}};
  const std::string information_text = looked_up();
  if (!instruction.empty()) {
    // The instruction's words ("in two sentences") are noise: what must be looked up leads, the whole request
    // helps.
    out = {{information_text, 2.0}, {question, 1.0}};
  } else if (information_text != question) {
    out.push_back({information_text, 1.0});
  }
  for (const Keywords& list : keywords) {
    std::string text;
    for (const std::string& word : list.words) text += (text.empty() ? "" : "\n") + word;
    if (!text.empty()) out.push_back({std::move(text), 1.0});
  }
  return out;
}

std::vector<std::string> QueryPlan::all_keywords() const {
  std::vector<std::string> out;
  for (const Keywords& list : keywords) out.insert(out.end(), list.words.begin(), list.words.end());
  return out;
}

std::string standalone_question(const HelperContext& context, const std::vector<LmMessage>& history,
                                const std::string& question, int max_history_tokens) {
  const LmMessage* previous = last_user_turn(history);
  if (previous == nullptr) return question;
  const std::string_view language = prompt_language(question);
  const ShownHistory shown = show_history(context.model, history, language == "zh", max_history_tokens);
  Json data = {{"turns", shown.turns}, {"dropped", shown.dropped}, {"shortened", shown.shortened}};
  std::string detail = std::to_string(shown.turns) + " earlier turns considered";
  if (shown.dropped > 0) detail += ", " + std::to_string(shown.dropped) + " older ones did not fit";
  if (shown.shortened > 0) detail += ", " + std::to_string(shown.shortened) + " shortened";
  context.tracer.add("history", std::move(detail), std::move(data));

  LmRequest request = helper_request(
      "rewrite", language, {{"conversation", shown.text}, {"question", question}}, kMaxRewriteTokens);
  request.stop = {"\n"};
  if (const std::optional<std::string> reply = helper_reply(context, request)) {
    std::string rewritten = single_line(*reply);
    const bool sensible = !rewritten.empty() && rewritten.size() <= question.size() + 300 &&
                          may_stand_for(rewritten, question) &&
                          (shares_term(rewritten, question) || shares_term(rewritten, shown.text));
    if (sensible) return rewritten;
  }
  context.tracer.add("fallback", "rewrite: the earlier question and this one together");
  return std::string(utf8::prefix(previous->content, 600)) + "\n" + question;
}

bool worth_splitting(std::string_view request) {
  constexpr size_t kShortCharacters = 160, kShortWideCharacters = 50;
  const bool chinese = prompt_language(request) == "zh";
  return request.find('\n') != std::string_view::npos ||
         utf8::count(request) > (chinese ? kShortWideCharacters : kShortCharacters) ||
         split_sentences(request).size() > 1;
}

void split_request(const HelperContext& context, QueryPlan& plan) {
  const std::string_view language = prompt_language(plan.question);
  const bool chinese = language == "zh";
  const std::string information_key = chinese ? "信息" : "information";
  const std::string instruction_key = chinese ? "指令" : "instruction";
  LmRequest request = helper_request("split", language, {{"request", plan.question}}, kMaxSplitTokens);
  request.json_schema = Json{
      {"type", "object"},
      {"properties", {{information_key, list_schema(0, 5, 200)}, {instruction_key, list_schema(0, 4, 120)}}}};
  if (const std::optional<Json> object = helper_object(context, request)) {
    std::vector<std::string> information = string_list(*object, information_key);
    std::erase_if(information, [&](const std::string& item) { return !shares_term(item, plan.question); });
    std::vector<std::string> instruction = string_list(*object, instruction_key);
    std::erase_if(instruction, [&](const std::string& item) { return !shares_term(item, plan.question); });
    if (!information.empty()) {
      plan.information = std::move(information);
      plan.instruction = std::move(instruction);
      return;
    }
  }
  context.tracer.add("fallback", "split: the whole request is looked up");
}

std::vector<std::string> keyword_languages(std::string_view question_language,
                                           const std::vector<std::string>& document_languages) {
  std::vector<std::string> out;
  for (const std::string& language : document_languages) {
    const bool known = std::find(out.begin(), out.end(), language) != out.end();
    if (language.empty() || language == question_language || known || out.size() == kMaxKeywordLanguages)
      continue;
    out.push_back(language);
  }
  return out;
}

void find_keywords(const HelperContext& context, const std::vector<std::string>& languages, QueryPlan& plan) {
  const std::string_view prompts = prompt_language(plan.question);
  std::string asked, names;
  for (const std::string& item : plan.information) asked += (asked.empty() ? "" : "; ") + item;
  Json properties = Json::object();
  for (const std::string& code : languages) {
    names += (names.empty() ? "" : prompts == "zh" ? "、" : ", ") + language_name(code, prompts);
    properties[keyword_key(code, prompts)] = list_schema(1, kMaxKeywordsOfLanguage, kMaxKeywordCharacters);
  }
  LmRequest request =
      helper_request("keywords", prompts, {{"question", asked}, {"languages", names}}, kMaxKeywordTokens);
  request.json_schema = Json{{"type", "object"}, {"properties", std::move(properties)}};

  const std::optional<Json> object = helper_object(context, request);
  if (object) {
    const std::vector<std::string> example = example_keywords(request);
    const auto copied = [&](const std::string& word) {
      return std::find(example.begin(), example.end(), word) != example.end() &&
             !shares_term(word, plan.question);
    };
    for (const std::string& code : languages) {
      Keywords list{code, string_list(*object, keyword_key(code, prompts))};
      if (list.words.empty()) {  // a remote model may answer in the other form
        list.words = string_list(*object, keyword_key(code, prompts == "zh" ? "en" : "zh"));
      }
      std::erase_if(list.words, copied);
      if (list.words.size() > kMaxKeywordsOfLanguage) list.words.resize(kMaxKeywordsOfLanguage);
      if (!list.words.empty()) plan.keywords.push_back(std::move(list));
    }
  }
  if (plan.keywords.empty()) context.tracer.add("fallback", "keywords: the words of the request alone");
}

}  // namespace lectern
