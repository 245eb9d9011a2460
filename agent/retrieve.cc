#include "agent/retrieve.h"

#include <algorithm>
#include <set>

#include "agent/model_profile.h"
#include "agent/text_terms.h"

namespace lectern {
namespace {

// No ranking is asked for more chunks than this.
constexpr int kMaxRanked = 400;
// Below this share of its words in the best passages, a question needs other words to find anything.
constexpr double kWeakSearch = 0.34;

// Share of the question's words found in the best passages together.
double words_found(const std::string& question, const std::vector<SourcePassage>& best) {
  const std::vector<SupportTerm> asked = support_terms(question);
  if (asked.empty()) return 1;
  std::vector<std::string> held;
  for (size_t i = 0; i < std::min<size_t>(best.size(), 4); ++i) {
    for (SupportTerm& term : support_terms(best[i].text + "\n" + best[i].title))
      held.push_back(std::move(term.text));
  }
  std::sort(held.begin(), held.end());
  const auto n = std::count_if(asked.begin(), asked.end(), [&](const SupportTerm& term) {
    return std::binary_search(held.begin(), held.end(), term.text);
  });
  return static_cast<double>(n) / static_cast<double>(asked.size());
}

// All words of a title stand in the question.
bool names(const std::string& question, const std::string& title) {
  const std::vector<SupportTerm> asked = support_terms(question), words = support_terms(title);
  return !words.empty() && std::all_of(words.begin(), words.end(), [&](const SupportTerm& word) {
    return std::any_of(asked.begin(), asked.end(),
                       [&](const SupportTerm& term) { return term.text == word.text; });
  });
}

Json describe_hits(const std::vector<SourcePassage>& hits) {
  Json out = Json::array();
  for (const SourcePassage& hit : hits) {
    out.push_back(
        {{"path", hit.path}, {"chunk", hit.chunk_id}, {"ordinal", hit.ordinal}, {"score", hit.score}});
    if (out.size() == 50) break;
  }
  return out;
}

// Languages to ask keywords in; none when the question's own words will do.
std::vector<std::string> wanted_languages(Asking& asking, const QueryPlan& plan,
                                          const std::vector<SourcePassage>& hits) {
  const bool always = asking.request.helper_calls == HelperCalls::kAlways;
  const std::string own = asking.language_of(plan.question);
  std::vector<std::string> languages = keyword_languages(own, asking.documents.languages());
  const auto also = [&](std::string_view code) {
    const bool known = std::find(languages.begin(), languages.end(), code) != languages.end();
    if (!code.empty() && !known) languages.emplace_back(code);
  };
  // Other words of the question's own language help only where its words find little.
  if (always || words_found(plan.looked_up(), hits) < kWeakSearch) also(own);
  if (always) also("en"), also("zh");
  return languages;
}

}  // namespace

int wanted_passages(const Asking& asking) {
  const int asked = asking.request.max_passages;
  return std::min(asked > 0 ? asked : profile_of(asking.model).chunks, kMaxRanked);
}

std::vector<SourcePassage> take_lesser(Asking& asking, const QueryPlan& plan,
                                       std::vector<SourcePassage>& ranked) {
  std::vector<SourcePassage> kept, lesser;
  const bool all = asking.request.max_passages > 0 || !plan.keywords.empty();
  const double share = all ? 0 : profile_of(asking.model).chunk_share;
  double best = 0;
  for (const SourcePassage& chunk : ranked) best = std::max(best, chunk.score);
  std::set<int64_t> documents;
  for (SourcePassage& chunk : ranked) {
    const bool first = documents.insert(chunk.document_id).second;
    const bool named = first && names(plan.question, chunk.title);
    (chunk.score >= share * best || named ? kept : lesser).push_back(std::move(chunk));
  }
  ranked = std::move(kept);
  if (!lesser.empty())
    asking.tracer.add("set_aside",
                      std::to_string(lesser.size()) + " chunks are worth too little beside the best");
  return lesser;
}

std::vector<SourcePassage> search(Asking& asking, const QueryPlan& plan, int limit) {
  const Stopwatch watch;
  const std::vector<SourceQuery> queries = plan.queries();
  std::vector<SourcePassage> hits = asking.documents.search(queries, limit);
  TraceStep step;
  step.kind = "search";
  step.detail = std::to_string(queries.size()) + (queries.size() == 1 ? " query, " : " queries, ") +
                std::to_string(hits.size()) + " chunks";
  Json asked = Json::array();
  for (const SourceQuery& query : queries) asked.push_back({{"text", query.text}, {"weight", query.weight}});
  step.data = {{"queries", std::move(asked)}, {"hits", describe_hits(hits)}};
  step.seconds = watch.seconds();
  asking.tracer.add(std::move(step));
  return hits;
}

std::vector<SourcePassage> retrieve(Asking& asking, QueryPlan& plan, int limit) {
  if (asking.documents.n_chunks() == 0) return {};
  if (plan.prepared) return search(asking, plan, limit);
  plan.prepared = true;
  const HelperCalls calls = asking.request.helper_calls;
  if (calls == HelperCalls::kAlways || (calls == HelperCalls::kAuto && worth_splitting(plan.question)))
    split_request(asking.helpers(), plan);
  std::vector<SourcePassage> hits = search(asking, plan, limit);
  if (calls == HelperCalls::kNever) return hits;
  const std::vector<std::string> languages = wanted_languages(asking, plan, hits);
  if (languages.empty()) return hits;
  find_keywords(asking.helpers(), languages, plan);
  return plan.keywords.empty() ? hits : search(asking, plan, limit);
}

}  // namespace lectern
