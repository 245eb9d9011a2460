#include "agent/self_ask.h"

#include <algorithm>

#include "agent/answer_prompt.h"
#include "agent/compare_dates.h"
#include "agent/context.h"
#include "agent/dates.h"
#include "agent/languages.h"
#include "agent/reply_json.h"
#include "agent/retrieve.h"
#include "agent/text_terms.h"

namespace lectern {
namespace {

constexpr int kMaxPlanTokens = 200;
constexpr int kMaxSubAnswerTokens = 48;
constexpr int kMaxSubAnswerCharacters = 120;
constexpr int kPassagesOfHop = 4;
constexpr int kTokensOfHop = 1024;

std::string fact_of(const Hop& hop) {
  const bool chinese = prompt_language(hop.question) == "zh";
  const std::string answer = hop.answer.empty() ? (chinese ? "未知" : "unknown") : hop.answer;
  return hop.question + (chinese ? "" : " ") + answer;
}

// The simple questions, with "#1" for the answer to the first; none when the model gives none.
std::vector<std::string> sub_questions(Asking& asking, const QueryPlan& plan) {
  const std::string_view language = prompt_language(plan.question);
  const std::string key = language == "zh" ? "问题" : "questions";
  LmRequest request =
      helper_request("sub_questions", language, {{"question", plan.looked_up()}}, kMaxPlanTokens);
  request.json_schema = Json{{"type", "object"},
                             {"properties",
                              {{key,
                                {{"type", "array"},
                                 {"items", {{"type", "string"}, {"minLength", 1}, {"maxLength", 160}}},
                                 {"minItems", 1},
                                 {"maxItems", kMaxHops}}}}}};
  const std::optional<Json> object = helper_object({asking.model, asking.tracer, asking.cancel}, request);
  return object ? string_list(*object, key) : std::vector<std::string>{};
}

// The planned question with "#1" replaced by the first answer. When it builds on one that has no answer, its
// hop is over before it began.
Hop next_hop(const std::string& planned, const std::vector<Hop>& hops) {
  Hop hop;
  for (size_t i = 0; i < planned.size(); ++i) {
    const bool reference =
        planned[i] == '#' && i + 1 < planned.size() && planned[i + 1] >= '1' && planned[i + 1] <= '9';
    if (!reference) {
      hop.question += planned[i];
      continue;
    }
    hop.builds_on = planned[++i] - '1';
    if (hop.builds_on >= static_cast<int>(hops.size()) ||
        hops[static_cast<size_t>(hop.builds_on)].answer.empty())
      return {};
    hop.question += hops[static_cast<size_t>(hop.builds_on)].answer;
  }
  return hop;
}

// The chunk of a passage that shares most with the fact.
SourcePassage chunk_of(const EvidencePassage& passage, std::string_view fact) {
  const std::vector<SupportTerm> wanted = support_terms(fact);
  const SourcePassage* best = &passage.chunks.front();
  size_t most = 0;
  for (const SourcePassage& chunk : passage.chunks) {
    const std::vector<SupportTerm> held = support_terms(chunk.text);
    const auto n = static_cast<size_t>(std::count_if(wanted.begin(), wanted.end(), [&](const auto& term) {
      return std::any_of(held.begin(), held.end(), [&](const auto& h) { return h.text == term.text; });
    }));
    if (n > most) most = n, best = &chunk;
  }
  return *best;
}

// Looks the fact up by retrieval.
void look_up(Asking& asking, Hop& hop) {
  QueryPlan plan;
  plan.question = hop.question;
  plan.information = {hop.question};
  const std::vector<SourcePassage> ranked = retrieve(asking, plan, kPassagesOfHop);
  const FilledContext context =
      fill_context(ranked, asking.model, std::min(kTokensOfHop, asking.model.context_tokens() / 2));
  if (context.passages.empty()) return;

  const bool chinese = prompt_language(hop.question) == "zh";
  const std::string number_key = chinese ? "段落" : "passage", answer_key = chinese ? "答案" : "answer";
  LmRequest request =
      helper_request("sub_answer", prompt_language(hop.question),
                     {{"passages", fenced(render_passages(context.passages))}, {"question", hop.question}},
                     kMaxSubAnswerTokens);
  Json numbers = Json::array();
  for (size_t i = 0; i <= context.passages.size(); ++i) numbers.push_back(i);
  request.json_schema =
      Json{{"type", "object"},
           {"properties",
            {{number_key, {{"type", "integer"}, {"enum", std::move(numbers)}}},
             {answer_key, {{"type", "string"}, {"minLength", 1}, {"maxLength", kMaxSubAnswerCharacters}}}}}};
  const std::optional<Json> object = helper_object({asking.model, asking.tracer, asking.cancel}, request);
  if (!object) return;
  const auto number = object->find(number_key);
  const std::vector<std::string> answers = string_list(*object, answer_key);
  if (number == object->end() || !number->is_number_integer() || answers.empty()) return;
  const auto passage = number->get<int64_t>();
  if (passage < 1 || passage > static_cast<int64_t>(context.passages.size())) return;
  if (answers.front() == "unknown" || answers.front() == "未知") return;
  hop.answer = answers.front();
  hop.evidence = {
      chunk_of(context.passages[static_cast<size_t>(passage - 1)], hop.question + " " + hop.answer)};
}

// A hop that no other builds on, with those that it builds on before it.
struct Chain {
  std::string line;   // questions and answers
  std::string about;  // the questions alone
  std::string end;    // the last answer
};

std::vector<Chain> chains_of(const std::vector<Hop>& hops) {
  std::vector<bool> is_last(hops.size(), true);
  for (const Hop& hop : hops) {
    if (hop.builds_on >= 0 && !hop.answer.empty()) is_last[static_cast<size_t>(hop.builds_on)] = false;
  }
  std::vector<Chain> chains;
  for (size_t i = 0; i < hops.size(); ++i) {
    if (!is_last[i] || hops[i].answer.empty()) continue;
    Chain chain{fact_of(hops[i]), hops[i].question, hops[i].answer};
    for (int before = hops[i].builds_on; before >= 0; before = hops[static_cast<size_t>(before)].builds_on) {
      const Hop& hop = hops[static_cast<size_t>(before)];
      chain.line = fact_of(hop) + ". " + chain.line;
      chain.about = hop.question + " " + chain.about;
    }
    chains.push_back(std::move(chain));
  }
  return chains;
}

std::string decided_by_dates(const std::string& question, const std::vector<Chain>& chains) {
  if (chains.size() != 2) return "";
  const std::optional<Date> one = find_date(chains[0].end), other = find_date(chains[1].end);
  if (!one || !other) return "";
  return compare_dates(question, {chains[0].about, *one}, {chains[1].about, *other});
}

}  // namespace

std::vector<Hop> self_ask(Asking& asking, const QueryPlan& plan) {
  std::vector<Hop> hops;
  for (const std::string& planned : sub_questions(asking, plan)) {
    if (asking.out_of_time()) {
      asking.tracer.add("self_ask", "the time is spent: the other sub-questions are not asked");
      break;
    }
    hops.push_back(next_hop(planned, hops));
    if (hops.back().question.empty()) {
      asking.tracer.add("hop", planned + " cannot be asked: it builds on what was not found");
      continue;
    }
    look_up(asking, hops.back());
    asking.tracer.add("hop", fact_of(hops.back()));
  }
  return hops;
}

std::vector<std::string> known_facts(const std::vector<Hop>& hops) {
  const std::vector<Chain> chains = chains_of(hops);
  std::vector<std::string> facts, ends;
  for (const Chain& chain : chains) {
    facts.push_back(chain.line);
    ends.push_back(chain.end);
  }
  if (facts.empty()) return facts;
  const std::string_view language = prompt_language(hops.front().question);
  const std::vector<int> ranks = ranks_of_dates(ends);
  for (size_t i = 0; i < facts.size(); ++i) {
    if (ranks[i] == 0) continue;
    facts[i] += ranks[i] < 0 ? (language == "zh" ? "（较早）" : " (the earlier date)")
                             : (language == "zh" ? "（较晚）" : " (the later date)");
  }
  return facts;
}

std::string conclude(Asking& asking, const QueryPlan& plan, const std::vector<Hop>& hops) {
  const std::string decided = decided_by_dates(plan.question, chains_of(hops));
  if (!decided.empty()) {
    asking.tracer.add("conclude", "the dates decide: " + decided);
    return decided;
  }
  const std::vector<std::string> facts = known_facts(hops);
  if (facts.empty()) return "";
  const std::string_view language = prompt_language(plan.question);
  const std::string key = language == "zh" ? "答案" : "answer";
  std::string listed;
  for (const std::string& fact : facts) listed += (listed.empty() ? "- " : "\n- ") + fact;
  LmRequest request = helper_request(
      "conclude", language, {{"question", plan.looked_up()}, {"facts", listed}}, kMaxSubAnswerTokens);
  request.json_schema =
      Json{{"type", "object"},
           {"properties",
            {{key, {{"type", "string"}, {"minLength", 1}, {"maxLength", kMaxSubAnswerCharacters}}}}}};
  const std::optional<Json> object = helper_object({asking.model, asking.tracer, asking.cancel}, request);
  const std::vector<std::string> answers = object ? string_list(*object, key) : std::vector<std::string>{};
  return answers.empty() ? std::string() : answers.front();
}

}  // namespace lectern
