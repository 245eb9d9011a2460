#include "agent/map_reduce.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "agent/answer_prompt.h"
#include "agent/answer_writer.h"
#include "agent/cited_text.h"
#include "agent/context.h"
#include "agent/helper_call.h"
#include "agent/languages.h"
#include "agent/model_profile.h"
#include "agent/reading_list.h"
#include "agent/reply_json.h"
#include "agent/retrieve.h"
#include "agent/salience.h"
#include "agent/window.h"
#include "prompts/prompts.h"

namespace lectern {
namespace {

// Documents whose names are compared with the request; of more, all are meant.
constexpr int64_t kMaxNamedAmong = 4096;
constexpr int kMinPoints = 2, kMaxPoints = 6;
constexpr int kSentenceTokens = 40;  // about
constexpr int kPointsTokens = 48;    // of the reply
constexpr int kItemsTokens = 320;
// A pass that leaves more than this of what it read does not lead to an end.
constexpr double kShrinks = 0.85;

// A sentence of a document is a SourcePassage whose text is a part of its chunk's.
struct Item {
  std::string text;        // as the model wrote it, without markers
  SourcePassage evidence;  // the sentence that names it
};

// What has been found in all documents or, of a comparison, in each.
struct Part {
  ReadingList list;
  std::vector<SourcePassage> sentences;  // of a list none
  std::vector<Item> items;
};

struct Task {
  Asking& asking;
  const QueryPlan& plan;
  WholeTask kind;
  int span_tokens = 0;                                             // passages of one call
  int final_tokens = 0;                                            // passages of the answer
  EvidencePassage::Label label = EvidencePassage::Label::kNumber;  // with titles, of several documents
  bool capitals_are_names = true;

  bool lists() const { return kind == WholeTask::kList; }
};

std::vector<DocumentName> document_names(DocumentSource& documents) {
  std::vector<DocumentName> names;
  if (documents.n_documents() > kMaxNamedAmong) return names;
  for (const int64_t id : documents.document_ids()) {
    for (SourcePassage& first : documents.read(id, 0, 1))
      names.push_back({id, std::move(first.path), std::move(first.title)});
  }
  return names;
}

// Sentences as passages of their own, in the order of the documents, each on one line.
std::vector<EvidencePassage> as_passages(std::vector<SourcePassage> sentences, EvidencePassage::Label label) {
  ReadingList::sort_by_place(sentences);
  std::vector<EvidencePassage> passages;
  for (SourcePassage& sentence : sentences) {
    EvidencePassage& passage = passages.emplace_back();
    passage.label = label;
    passage.text = sentence.text;
    std::replace(passage.text.begin(), passage.text.end(), '\n', ' ');
    passage.chunks.push_back(std::move(sentence));
  }
  return passages;
}

SourcePassage sentence_of(const SourcePassage& chunk, TextRange range) {
  SourcePassage sentence = chunk;
  sentence.text = range.of(chunk.text);
  sentence.begin = chunk.begin + range.begin;
  sentence.end = sentence.begin + sentence.text.size();
  return sentence;
}

// The sentences of some chunks that say something: no headings, no crumbs.
std::vector<SourcePassage> sentences_of(const std::vector<SourcePassage>& chunks) {
  constexpr size_t kMinBytes = 30, kMinTerms = 4;
  std::vector<SourcePassage> out;
  for (const SourcePassage& chunk : chunks) {
    for (const TextRange range : split_sentences(chunk.text)) {
      const std::string_view text = range.of(chunk.text);
      if (text.size() >= kMinBytes && text.front() != '#' && support_terms(text).size() >= kMinTerms)
        out.push_back(sentence_of(chunk, range));
    }
  }
  return out;
}

// Those that say best what all are about: where the model's choice is of no use.
std::vector<SourcePassage> salient(const std::vector<SourcePassage>& sentences, int n) {
  std::vector<std::string_view> texts;
  for (const SourcePassage& sentence : sentences) texts.push_back(sentence.text);
  std::vector<SourcePassage> out;
  for (const size_t i : by_salience(texts, {})) {
    if (static_cast<int>(out.size()) == n) break;
    out.push_back(sentences[i]);
  }
  return out;
}

LmRequest points_request(const Task& task, const std::vector<EvidencePassage>& passages, int n_points) {
  const std::string_view language = prompt_language(task.plan.question);
  const std::string n = std::to_string(n_points), text = fenced(render_passages(passages));
  LmRequest request =
      helper_request("points", language, {{"passages", text}, {"request", task.plan.question}, {"points", n}},
                     kPointsTokens);
  Json numbers = Json::array();
  for (size_t i = 1; i <= passages.size(); ++i) numbers.push_back(i);
  request.json_schema = Json{{"type", "object"},
                             {"properties",
                              {{"sentences",
                                {{"type", "array"},
                                 {"items", {{"type", "integer"}, {"enum", std::move(numbers)}}},
                                 {"minItems", 1},
                                 {"maxItems", n_points}}}}}};
  return request;
}

LmRequest items_request(const Task& task, const std::vector<EvidencePassage>& passages) {
  const std::string text = fenced(render_passages(passages));
  return helper_request("items", prompt_language(task.plan.question),
                        {{"passages", text}, {"request", task.plan.question}}, kItemsTokens);
}

// "- Ada Quill [1]" without bullet and markers; the labels that it had.
std::string without_markers(std::string_view line, std::vector<int>& labels) {
  size_t begin = line.find_first_not_of(" \t-*•");
  if (begin == std::string_view::npos) return {};
  const size_t digits = line.find_first_not_of("0123456789", begin);
  if (digits != std::string_view::npos && digits > begin && digits - begin < 4 &&
      (line[digits] == '.' || line[digits] == ')'))
    begin = digits + 1;
  std::string text;
  for (size_t i = begin; i < line.size(); ++i) {
    const size_t end = line[i] == '[' ? line.find_first_not_of("0123456789", i + 1) : std::string_view::npos;
    if (end != std::string_view::npos && end > i + 1 && line[end] == ']') {
      labels.push_back(std::stoi(std::string(line.substr(i + 1, end - i - 1))));
      i = end;
    } else {
      text.push_back(line[i]);
    }
  }
  const size_t first = text.find_first_not_of(' '), last = text.find_last_not_of(" .");
  return first == std::string::npos || last == std::string::npos ? std::string()
                                                                 : text.substr(first, last + 1 - first);
}

// The items that a sentence of the passages names.
std::vector<Item> verified_items(const Task& task, const std::vector<EvidencePassage>& passages,
                                 std::string_view reply) {
  const SupportIndex support(passages, task.plan.question, {}, task.capitals_are_names);
  CitedText cited(passages, support, task.plan.question, {});
  cited.feed(reply);
  cited.finish();
  std::vector<Item> items;
  for (size_t begin = 0; begin < cited.text().size();) {
    const size_t end = std::min(cited.text().find('\n', begin), cited.text().size());
    std::vector<int> labels;
    const std::string text =
        without_markers(std::string_view(cited.text()).substr(begin, end - begin), labels);
    begin = end + 1;
    if (labels.empty() || text.empty()) continue;
    const Citation& citation = cited.citations()[static_cast<size_t>(labels.front()) - 1];
    const size_t at = citation.quote_begin - citation.passage.begin;
    items.push_back({text, sentence_of(citation.passage, {at, at + citation.quote.size()})});
  }
  return items;
}

// A call that fails gives no text.
std::string ask_helper(const Task& task, LmRequest request) {
  request.seed = task.asking.request.seed;
  try {
    return task.asking.tracer.chat(task.asking.helper, request, {}, task.asking.cancel).text;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    return {};
  }
}

// At most n of the sentences, those that the model chooses. A call that fails or chooses nothing is replaced
// by the most telling ones, so that no part of a document is lost.
std::vector<SourcePassage> choose(const Task& task, const std::vector<SourcePassage>& sentences, int n) {
  if (static_cast<int>(sentences.size()) <= n) return sentences;
  const std::vector<EvidencePassage> passages = as_passages(sentences, task.label);
  std::set<size_t> chosen;
  if (const std::optional<Json> reply = reply_object(ask_helper(task, points_request(task, passages, n)))) {
    const auto list = reply->find("sentences");
    if (list != reply->end() && list->is_array()) {
      for (const Json& number : *list) {
        const bool fits = number.is_number_integer() && number >= 1 && number <= passages.size();
        if (fits && static_cast<int>(chosen.size()) < n) chosen.insert(number.get<size_t>() - 1);
      }
    }
  }
  if (chosen.empty()) {
    task.asking.tracer.add("fallback", "points: the most telling sentences of this part");
    return salient(sentences, n);
  }
  std::vector<SourcePassage> out;
  for (const size_t i : chosen) out.push_back(passages[i].chunks.front());
  return out;
}

int tokens_of(const Task& task, const LanguageModel& model, const std::vector<SourcePassage>& sentences) {
  return model.count_tokens(render_passages(as_passages(sentences, task.label)));
}

int points_of_span(int final_tokens, size_t n_spans) {
  return std::clamp(final_tokens / static_cast<int>(std::max<size_t>(n_spans, 1)) / kSentenceTokens,
                    kMinPoints, kMaxPoints);
}

void report(const Task& task, const char* stage, uint64_t done, uint64_t total) {
  if (task.asking.events.on_progress)
    task.asking.events.on_progress(
        {.stage = stage, .items_done = done, .items_total = std::max(done, total)});
}

// Reads the sentences again, in groups that suit the model, until they fit; what is left out at last is taken
// evenly from all of them and counted.
FilledContext reduce(const Task& task, std::vector<SourcePassage> sentences, int max_tokens) {
  Asking& asking = task.asking;
  int tokens = tokens_of(task, asking.model, sentences);
  while (tokens > max_tokens && !asking.out_of_time()) {
    std::vector<std::vector<SourcePassage>> groups(1);
    int group_tokens = 0;
    for (SourcePassage& sentence : sentences) {
      const int cost = tokens_of(task, asking.helper, {sentence});
      if (group_tokens + cost > task.span_tokens && !groups.back().empty()) {
        groups.emplace_back();
        group_tokens = 0;
      }
      group_tokens += cost;
      groups.back().push_back(std::move(sentence));
    }
    sentences.clear();
    for (size_t i = 0; i < groups.size(); ++i) {
      report(task, "condensing", i, groups.size());
      for (SourcePassage& sentence : choose(task, groups[i], points_of_span(max_tokens, groups.size())))
        sentences.push_back(std::move(sentence));
    }
    report(task, "condensing", groups.size(), groups.size());
    const int before = tokens;
    tokens = tokens_of(task, asking.model, sentences);
    asking.tracer.add("reduce", std::to_string(before) + " tokens of quotes to " + std::to_string(tokens),
                      {{"groups", groups.size()}, {"sentences", sentences.size()}});
    if (tokens > kShrinks * before) break;
  }
  FilledContext context;
  const size_t n_before = sentences.size();
  while (tokens > max_tokens && sentences.size() > 1) {
    // Every k-th goes, such that about as much goes as is too much.
    const double share = 1.0 - static_cast<double>(max_tokens) / tokens;
    const auto every = std::max<size_t>(2, static_cast<size_t>(1.0 / share));
    std::vector<SourcePassage> kept;
    for (size_t i = 0; i < sentences.size(); ++i) {
      if (i % every != every - 1) kept.push_back(std::move(sentences[i]));
    }
    sentences = std::move(kept);
    tokens = tokens_of(task, asking.model, sentences);
  }
  context.left_out = static_cast<int>(n_before - sentences.size());
  context.passages = as_passages(std::move(sentences), task.label);
  context.tokens = tokens;
  return context;
}

// How often each chunk is what the request itself speaks of, 0 to 1.
std::unordered_map<int64_t, double> relevance(Asking& asking, const QueryPlan& plan, double weight) {
  constexpr int kHits = 400;
  std::unordered_map<int64_t, double> out;
  const std::vector<SourcePassage> hits = search(asking, plan, kHits);
  if (hits.empty() || hits.front().score <= 0) return out;
  for (const SourcePassage& hit : hits) out[hit.chunk_id] = weight * hit.score / hits.front().score;
  return out;
}

struct Scope {
  std::vector<std::vector<int64_t>> parts;  // documents: all together, or each alone
  std::vector<int64_t> n_chunks;            // by part
  size_t n_documents = 0;
  double chunk_tokens = 1;  // about, on the mean
};

Scope scope_of(const Task& task, const WholeRequest& whole) {
  constexpr int kSample = 64;
  Asking& asking = task.asking;
  const std::vector<int64_t> ids =
      whole.documents.empty() ? asking.documents.document_ids() : whole.documents;
  Scope scope;
  scope.n_documents = ids.size();
  if (task.kind == WholeTask::kCompare && ids.size() <= 8) {
    for (const int64_t id : ids) scope.parts.push_back({id});
  } else {
    scope.parts.push_back(ids);
  }
  int tokens = 0, sampled = 0;
  for (const std::vector<int64_t>& part : scope.parts) {
    int64_t n = 0;
    for_each_chunk(asking.documents, part, asking.cancel, [&](const SourcePassage& chunk) {
      if (sampled < kSample) tokens += asking.helper.count_tokens(chunk.text), ++sampled;
      ++n;
      return true;
    });
    scope.n_chunks.push_back(n);
  }
  scope.chunk_tokens = std::max(1.0, static_cast<double>(tokens) / std::max(sampled, 1));
  return scope;
}

// Everything in scope, when it fits.
std::optional<FilledContext> all_of(const Task& task, const Scope& scope) {
  int64_t n = 0;
  for (const int64_t of_part : scope.n_chunks) n += of_part;
  if (static_cast<double>(n) * scope.chunk_tokens > 1.5 * task.final_tokens) return std::nullopt;
  std::vector<SourcePassage> chunks;
  for (const std::vector<int64_t>& part : scope.parts) {
    for_each_chunk(task.asking.documents, part, task.asking.cancel, [&](SourcePassage chunk) {
      chunks.push_back(std::move(chunk));
      return true;
    });
  }
  FilledContext context;
  context.passages = merge_neighbours(std::move(chunks));
  context.tokens = task.asking.model.count_tokens(render_passages(context.passages));
  if (context.tokens > task.final_tokens) return std::nullopt;
  return context;
}

std::vector<Part> plan_reading(const Task& task, const Scope& scope, int64_t n_chunks) {
  Asking& asking = task.asking;
  const AskBudget& budget = asking.request.budget;
  const bool by_time = budget.seconds > 0 && budget.chunks == 0 && budget.tokens == 0;
  const double tokens = budget.tokens > 0 ? budget.tokens : profile_of(asking.helper).whole_tokens;
  const auto default_chunks = static_cast<int64_t>(tokens / scope.chunk_tokens);
  int64_t limit = by_time ? n_chunks : budget.chunks > 0 ? budget.chunks : default_chunks;
  if (budget.chunks > 0 && budget.tokens > 0) limit = std::min(limit, default_chunks);
  limit = std::clamp<int64_t>(limit, 1, n_chunks);
  const bool all = limit == n_chunks && budget.seconds <= 0;
  const std::unordered_map<int64_t, double> asked =
      all ? std::unordered_map<int64_t, double>() : relevance(asking, task.plan, task.lists() ? 2.0 : 0.3);
  std::vector<Part> parts;
  for (size_t i = 0; i < scope.parts.size(); ++i) {
    const auto even = static_cast<int64_t>(scope.parts.size());
    const int64_t share = std::clamp<int64_t>(limit / even, 1, std::max<int64_t>(scope.n_chunks[i], 1));
    const int64_t of_sections = by_time ? std::min(default_chunks / even, scope.n_chunks[i]) : share;
    const double spans = static_cast<double>(of_sections) * scope.chunk_tokens / task.span_tokens;
    const ReadingList::Limits limits{all ? 0 : share, all ? 1 : static_cast<int>(spans + 1), all};
    parts.push_back(
        {ReadingList(asking.documents, scope.parts[i], scope.n_chunks[i], limits, asked, asking.cancel),
         {},
         {}});
  }
  return parts;
}

void read_span(const Task& task, const std::vector<SourcePassage>& span, int n_points, Part& part) {
  if (!task.lists()) {
    for (SourcePassage& sentence : choose(task, sentences_of(span), n_points))
      part.sentences.push_back(std::move(sentence));
    return;
  }
  std::vector<EvidencePassage> passages = merge_neighbours(span);
  for (EvidencePassage& passage : passages) passage.label = EvidencePassage::Label::kNumber;
  const std::string reply = ask_helper(task, items_request(task, passages));
  for (Item& item : verified_items(task, passages, reply)) part.items.push_back(std::move(item));
}

// Reads the parts by turns until there is nothing left, or no time.
void map(const Task& task, std::vector<Part>& parts, double chunk_tokens, Answer& answer) {
  Asking& asking = task.asking;
  const AskBudget& budget = asking.request.budget;
  double expected = 0;
  for (const Part& part : parts)
    expected += static_cast<double>(part.list.n_to_read()) * chunk_tokens / task.span_tokens;
  const auto n_spans = static_cast<size_t>(expected) + 1;
  const int n_points = points_of_span(task.final_tokens, n_spans);
  const auto read_tokens = [&](const SourcePassage& chunk) {
    const std::vector<SourcePassage> sentences = sentences_of({chunk});
    return task.lists() ? asking.helper.count_tokens(chunk.text) : tokens_of(task, asking.helper, sentences);
  };
  size_t done = 0;
  int tokens_read = 0;
  for (bool more = true; more;) {
    more = false;
    for (Part& part : parts) {
      const bool enough =
          done > 0 && (asking.out_of_time() || (budget.tokens > 0 && tokens_read >= budget.tokens));
      if (enough) break;
      int tokens = 0;
      const std::vector<SourcePassage> span =
          part.list.next([&](const std::vector<SourcePassage>& taken, const SourcePassage& chunk) {
            if (tokens == 0) tokens = read_tokens(taken.front());
            const int more_tokens = read_tokens(chunk);
            if (tokens + more_tokens > task.span_tokens) return false;
            tokens += more_tokens;
            return true;
          });
      if (span.empty()) continue;
      more = true;
      report(task, "reading", done, n_spans);
      tokens_read += tokens;
      answer.chunks_read += static_cast<int64_t>(span.size());
      read_span(task, span, n_points, part);
      report(task, "reading", ++done, n_spans);
    }
  }
  asking.tracer.add("read",
                    std::to_string(answer.chunks_read) + " of " + std::to_string(answer.chunks_in_scope) +
                        " chunks in " + std::to_string(done) + " spans",
                    {{"chunks", answer.chunks_read},
                     {"of", answer.chunks_in_scope},
                     {"spans", done},
                     {"tokens", tokens_read},
                     {"out_of_time", asking.out_of_time()}});
}

// The items as found, each once, with the sentence that names it: a model would lose some of a long list.
void write_list(const Task& task, std::vector<Item> items, Answer& answer) {
  Asking& asking = task.asking;
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    const SourcePassage &x = a.evidence, &y = b.evidence;
    return std::tie(x.path, x.document_id, x.begin) < std::tie(y.path, y.document_id, y.begin);
  });
  std::set<std::string> seen;
  std::erase_if(items, [&](const Item& item) {
    std::string key;
    for (const SupportTerm& term : support_terms(item.text)) key += term.text + " ";
    return key.empty() || !seen.insert(key).second;
  });
  if (items.empty()) return write_answer(asking, task.plan, {}, 1, answer);
  std::vector<SourcePassage> sentences;
  std::vector<size_t> labels;
  for (const Item& item : items) {
    const bool again = !sentences.empty() && sentences.back().document_id == item.evidence.document_id &&
                       sentences.back().begin == item.evidence.begin;
    if (!again) sentences.push_back(item.evidence);
    labels.push_back(sentences.size());
  }
  answer.context = sentences;
  const std::vector<EvidencePassage> passages = as_passages(std::move(sentences), task.label);
  const SupportIndex support(passages, task.plan.question, {}, task.capitals_are_names);
  CitedText cited(passages, support, task.plan.question, [&](std::string_view text) {
    return !asking.events.on_text || asking.events.on_text(text);
  });
  bool wanted = true;
  for (size_t i = 0; i < items.size() && wanted; ++i) {
    wanted = cited.feed((i > 0 ? "\n- " : "- ") + items[i].text + " [" + std::to_string(labels[i]) + "]");
  }
  if (wanted) cited.finish();
  answer.text = cited.text();
  answer.citations = cited.citations();
  answer.unsupported = cited.unsupported();
  answer.found = !answer.text.empty();
  asking.tracer.add("list", std::to_string(items.size()) + " items",
                    {{"items", items.size()}, {"citations", answer.citations.size()}});
}

std::string how_to_answer(const Task& task) {
  const std::string_view language = prompt_language(task.plan.question);
  return std::string(
      prompt_text(language, task.kind == WholeTask::kCompare ? "how_to_compare" : "how_to_summarise"));
}

}  // namespace

WholeRequest understand_whole(Asking& asking, const QueryPlan& plan) {
  const Level level = asking.request.level;
  if (level != Level::kAuto && level != Level::kWhole) return {};
  WholeRequest whole = whole_request(plan.question, [&] { return document_names(asking.documents); });
  if (level == Level::kWhole && whole.task == WholeTask::kNone) whole.task = WholeTask::kQuestion;
  if (whole.task == WholeTask::kCompare && asking.documents.n_documents() < 2)
    whole.task = WholeTask::kSummary;
  return whole;
}

void answer_whole(Asking& asking, QueryPlan plan, const WholeRequest& whole, Answer& answer) {
  Task task{asking, plan, whole.task};
  if (task.kind == WholeTask::kSummary || task.kind == WholeTask::kCompare)
    plan.instruction = {how_to_answer(task)};
  const WindowShare share = share_window(asking.model, asking.request, plan);
  const int fit = profile_of(asking.helper).fit_tokens;
  const int around = asking.helper.count_tokens(task.lists() ? items_request(task, {})
                                                             : points_request(task, {}, kMaxPoints));
  const int reply = task.lists() ? kItemsTokens : kPointsTokens;
  task.span_tokens = std::max(64, std::min(fit, asking.helper.context_tokens() - reply - around));
  task.final_tokens = std::min(share.passages, profile_of(asking.model).fit_tokens);
  task.capitals_are_names = asking.documents.guess_language(plan.question) != "de";

  const Scope scope = scope_of(task, whole);
  if (scope.n_documents > 1) task.label = EvidencePassage::Label::kTitle;
  for (const int64_t n : scope.n_chunks) answer.chunks_in_scope += n;
  if (answer.chunks_in_scope == 0) return write_answer(asking, plan, {}, share.answer, answer);
  if (!task.lists()) {
    if (const std::optional<FilledContext> all = all_of(task, scope)) {
      answer.chunks_read = answer.chunks_in_scope;
      return write_answer(asking, plan, *all, share.answer, answer);
    }
  }
  std::vector<Part> parts = plan_reading(task, scope, answer.chunks_in_scope);
  map(task, parts, scope.chunk_tokens, answer);
  if (task.lists()) return write_list(task, std::move(parts.front().items), answer);
  FilledContext context;
  for (Part& part : parts) {
    FilledContext of_part =
        reduce(task, std::move(part.sentences), task.final_tokens / static_cast<int>(parts.size()));
    for (EvidencePassage& passage : of_part.passages) context.passages.push_back(std::move(passage));
    context.tokens += of_part.tokens;
    context.left_out += of_part.left_out;
  }
  asking.tracer.add("context", std::to_string(context.tokens) + " tokens of quotes",
                    {{"passages", context.passages.size()},
                     {"left_out", context.left_out},
                     {"tokens", context.tokens},
                     {"budget", task.final_tokens}});
  write_answer(asking, plan, context, share.answer, answer);
}

}  // namespace lectern
