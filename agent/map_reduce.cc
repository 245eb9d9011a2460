#include "agent/map_reduce.h"

#include <algorithm>
#include <charconv>
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
#include "agent/retrieve.h"
#include "agent/salience.h"
#include "agent/whole_text.h"
#include "agent/window.h"
#include "prompts/prompts.h"

namespace lectern {
namespace {

constexpr int kMaxNotes = 6;     // of one span
constexpr int kNoteTokens = 40;  // a short sentence with its label
constexpr int kItemsTokens = 320;
// A pass that leaves more than this of what it read does not lead to an end.
constexpr double kShrinks = 0.85;

// What a model noted, and the sentences of the documents that support it: passages whose text is a part of
// their chunk's.
struct Note {
  std::string text;
  std::vector<SourcePassage> evidence;  // at least one, of one document
};

// What has been noted in all documents or, of a comparison, in each.
struct Part {
  ReadingList list;
  std::vector<Note> notes;
};

struct Task {
  Asking& asking;
  const QueryPlan& plan;
  WholeTask kind;
  AnswerCut& cut;        // of the answer: set when a list's reply is cut
  int span_tokens = 0;   // passages of one call
  int final_tokens = 0;  // passages of the answer
  EvidencePassage::Label label = EvidencePassage::Label::kNumber;  // with titles, of several documents
  bool capitals_are_names = true;

  bool lists() const { return kind == WholeTask::kList; }
};

void sort_by_place(std::vector<Note>& notes) {
  std::stable_sort(notes.begin(), notes.end(), [](const Note& a, const Note& b) {
    const SourcePassage &x = a.evidence.front(), &y = b.evidence.front();
    return std::tie(x.path, x.document_id, x.begin) < std::tie(y.path, y.document_id, y.begin);
  });
}

// The model sees the notes, and what it says of them is checked against, and cites, their evidence.
std::vector<EvidencePassage> as_passages(const std::vector<Note>& notes, EvidencePassage::Label label) {
  std::vector<EvidencePassage> passages;
  for (const Note& note : notes) passages.push_back({note.evidence, note.text, label});
  return passages;
}

SourcePassage sentence_of(const SourcePassage& chunk, TextRange range) {
  SourcePassage sentence = chunk;
  sentence.text = range.of(chunk.text);
  sentence.begin = chunk.begin + range.begin;
  sentence.end = sentence.begin + sentence.text.size();
  return sentence;
}

// The sentences that say best what the passages are about: where the model's notes are of no use.
std::vector<Note> salient_notes(const std::vector<EvidencePassage>& passages, int n) {
  constexpr size_t kMinBytes = 30, kMinTerms = 4;
  std::vector<SourcePassage> sentences;
  for (const EvidencePassage& passage : passages) {
    for (const SourcePassage& chunk : passage.chunks) {
      for (const TextRange range : split_sentences(chunk.text)) {
        const std::string_view text = range.of(chunk.text);
        if (text.size() >= kMinBytes && text.front() != '#' && support_terms(text).size() >= kMinTerms)
          sentences.push_back(sentence_of(chunk, range));
      }
    }
  }
  std::vector<std::string_view> texts;
  for (const SourcePassage& sentence : sentences) texts.push_back(sentence.text);
  std::vector<Note> notes;
  for (const size_t i : by_salience(texts, {})) {
    if (static_cast<int>(notes.size()) == n) break;
    std::string line = sentences[i].text;
    std::replace(line.begin(), line.end(), '\n', ' ');
    notes.push_back({std::move(line), {sentences[i]}});
  }
  return notes;
}

LmRequest notes_request(const Task& task, const std::vector<EvidencePassage>& passages, int n_notes) {
  const std::string_view language = prompt_language(task.plan.question);
  const std::string n = std::to_string(n_notes), text = fenced(render_passages(passages));
  PromptValues values{{"passages", text}, {"request", task.plan.question}};
  if (task.lists()) return helper_request("items", language, values, kItemsTokens);
  values.emplace_back("notes", n);
  return helper_request("notes", language, values, (n_notes + 1) * kNoteTokens);
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
  bool in_code = false;
  for (size_t i = begin; i < line.size(); ++i) {
    in_code ^= line[i] == '`';
    int label = 0;
    const auto [end, error] = std::from_chars(line.data() + i + 1, line.data() + line.size(), label);
    const bool closed = error == std::errc() && end != line.data() + line.size() && *end == ']';
    if (line[i] == '[' && closed && !in_code) {
      labels.push_back(label);
      i = static_cast<size_t>(end - line.data());
    } else {
      text.push_back(line[i]);
    }
  }
  const size_t first = text.find_first_not_of(' '), last = text.find_last_not_of(" .");
  return first == std::string::npos || last == std::string::npos ? std::string()
                                                                 : text.substr(first, last + 1 - first);
}

// The notes, a line or a sentence each, that a sentence of the passages supports.
std::vector<Note> verified_notes(const Task& task, const std::vector<EvidencePassage>& passages,
                                 std::string_view reply) {
  const SupportIndex support(passages, task.plan.question, {}, task.capitals_are_names);
  CitedText cited(passages, support, task.plan.question, {});
  cited.feed(reply);
  cited.finish();
  std::vector<Note> notes;
  for (size_t begin = 0; begin < cited.text().size();) {
    const size_t end = std::min(cited.text().find('\n', begin), cited.text().size());
    const std::string_view line = std::string_view(cited.text()).substr(begin, end - begin);
    begin = end + 1;
    for (const TextRange range : split_sentences(line, line.size())) {
      std::vector<int> labels;
      Note note{without_markers(range.of(line), labels), {}};
      for (const int label : labels) {
        if (label < 1 || label > static_cast<int>(cited.citations().size())) continue;
        const Citation& citation = cited.citations()[static_cast<size_t>(label) - 1];
        if (!note.evidence.empty() && note.evidence.front().document_id != citation.passage.document_id)
          break;
        const size_t at = citation.quote_begin - citation.passage.begin;
        note.evidence.push_back(sentence_of(citation.passage, {at, at + citation.quote.size()}));
      }
      if (!note.evidence.empty() && !note.text.empty()) notes.push_back(std::move(note));
    }
  }
  return notes;
}

// At most n notes, of a list as many as there are. A call that fails or notes nothing that the passages
// support is replaced by their most telling sentences, so that no part of a document is lost.
std::vector<Note> take_notes(const Task& task, const std::vector<EvidencePassage>& passages, int n) {
  Asking& asking = task.asking;
  LmRequest request = notes_request(task, passages, n);
  request.seed = asking.request.seed;
  std::vector<Note> notes;
  try {
    const LmReply reply = asking.tracer.chat(asking.helper, request, {}, asking.cancel);
    std::string_view text = reply.text;
    if (reply.truncated && task.lists()) task.cut = AnswerCut::kLimit;
    if (reply.truncated) {  // the sentence or line at which a reply was cut is not a note
      const std::vector<TextRange> sentences = split_sentences(text);
      if (!sentences.empty()) text = text.substr(0, std::max(sentences.back().begin, text.rfind('\n') + 1));
    }
    notes = verified_notes(task, passages, text);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
  }
  if (task.lists()) return notes;
  if (notes.empty()) {
    notes = salient_notes(passages, n);
    asking.tracer.add("fallback", "notes: the most telling sentences of this part");
  }
  if (static_cast<int>(notes.size()) > n) notes.resize(static_cast<size_t>(n));
  return notes;
}

int tokens_of(const Task& task, const LanguageModel& model, const std::vector<Note>& notes) {
  return model.count_tokens(render_passages(as_passages(notes, task.label)));
}

int notes_of_span(int final_tokens, size_t n_spans) {
  return std::clamp(final_tokens / static_cast<int>(std::max<size_t>(n_spans, 1)) / kNoteTokens, 1,
                    kMaxNotes);
}

void report(const Task& task, const char* stage, uint64_t done, uint64_t total) {
  if (task.asking.events.on_progress)
    task.asking.events.on_progress(
        {.stage = stage, .items_done = done, .items_total = std::max(done, total)});
}

// Reads the notes again, in groups that suit the model, until they fit; what is left out at last is taken
// evenly from all of them. Returns how many that were.
int reduce(const Task& task, std::vector<Note>& notes, int max_tokens) {
  Asking& asking = task.asking;
  sort_by_place(notes);
  int tokens = tokens_of(task, asking.model, notes);
  while (tokens > max_tokens && !asking.out_of_time()) {
    std::vector<std::vector<Note>> groups(1);
    int group_tokens = 0;
    for (Note& note : notes) {
      const int cost = tokens_of(task, asking.helper, {note});
      if (group_tokens + cost > task.span_tokens && !groups.back().empty()) {
        groups.emplace_back();
        group_tokens = 0;
      }
      group_tokens += cost;
      groups.back().push_back(std::move(note));
    }
    notes.clear();
    for (size_t i = 0; i < groups.size(); ++i) {
      report(task, "condensing", i, groups.size());
      const std::vector<EvidencePassage> passages = as_passages(groups[i], task.label);
      for (Note& note : take_notes(task, passages, notes_of_span(max_tokens, groups.size())))
        notes.push_back(std::move(note));
    }
    report(task, "condensing", groups.size(), groups.size());
    sort_by_place(notes);
    const int before = tokens;
    tokens = tokens_of(task, asking.model, notes);
    asking.tracer.add("reduce", std::to_string(before) + " tokens of notes to " + std::to_string(tokens),
                      {{"groups", groups.size()}, {"notes", notes.size()}});
    if (tokens > kShrinks * before) break;
  }
  const size_t n_before = notes.size();
  while (tokens > max_tokens && notes.size() > 1) {
    // Every k-th goes, such that about as much goes as is too much.
    const double share = 1.0 - static_cast<double>(max_tokens) / tokens;
    const auto every = std::max<size_t>(2, static_cast<size_t>(1.0 / share));
    std::vector<Note> kept;
    for (size_t i = 0; i < notes.size(); ++i) {
      if (i % every != every - 1) kept.push_back(std::move(notes[i]));
    }
    notes = std::move(kept);
    tokens = tokens_of(task, asking.model, notes);
  }
  return static_cast<int>(n_before - notes.size());
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
std::optional<FilledContext> all_of(const Task& task, const Scope& scope, int max_tokens) {
  int64_t n = 0;
  for (const int64_t of_part : scope.n_chunks) n += of_part;
  if (static_cast<double>(n) * scope.chunk_tokens > 1.5 * max_tokens) return std::nullopt;
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
  if (context.tokens > max_tokens) return std::nullopt;
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
        {ReadingList(asking.documents, scope.parts[i], scope.n_chunks[i], limits, asked, asking.cancel), {}});
  }
  return parts;
}

// Reads the parts by turns until there is nothing left, or no time.
void map(const Task& task, std::vector<Part>& parts, double chunk_tokens, Answer& answer) {
  Asking& asking = task.asking;
  const AskBudget& budget = asking.request.budget;
  double expected = 0;
  for (const Part& part : parts)
    expected += static_cast<double>(part.list.n_to_read()) * chunk_tokens / task.span_tokens;
  const auto n_spans = static_cast<size_t>(expected) + 1;
  const int n_notes = notes_of_span(task.final_tokens, n_spans);
  constexpr int kLabelTokens = 5;
  const auto read_tokens = [&](const SourcePassage& chunk) {
    return asking.helper.count_tokens(chunk.text) + kLabelTokens;
  };
  size_t done = 0;
  int tokens_read = 0;
  const double began = asking.watch.seconds();
  // The next span takes about as long as those before it did, and the answer as long as a span.
  const auto out_of_time = [&] {
    const double span = (asking.watch.seconds() - began) / static_cast<double>(std::max<size_t>(done, 1));
    return budget.seconds > 0 && asking.watch.seconds() + 2 * span > budget.seconds;
  };
  for (bool more = true; more;) {
    more = false;
    for (Part& part : parts) {
      const bool enough = done > 0 && (out_of_time() || (budget.tokens > 0 && tokens_read >= budget.tokens));
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
      std::vector<EvidencePassage> passages = merge_neighbours(span);
      for (EvidencePassage& passage : passages) passage.label = EvidencePassage::Label::kNumber;
      for (Note& note : take_notes(task, passages, n_notes)) part.notes.push_back(std::move(note));
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
                     {"out_of_time", out_of_time()}});
}

// The items as found, each once, with the sentence that names it: a model would lose some of a long list.
void write_list(const Task& task, std::vector<Note> items, Answer& answer) {
  Asking& asking = task.asking;
  sort_by_place(items);
  std::set<std::string> seen;
  std::erase_if(items, [&](const Note& item) {
    std::string key;
    for (const SupportTerm& term : support_terms(item.text)) key += term.text + " ";
    return key.empty() || !seen.insert(key).second;
  });
  if (items.empty()) return write_answer(asking, task.plan, {}, 1, std::nullopt, answer);
  const std::vector<EvidencePassage> passages = as_passages(items, task.label);
  for (const Note& item : items)
    answer.context.insert(answer.context.end(), item.evidence.begin(), item.evidence.end());
  const SupportIndex support(passages, task.plan.question, {}, task.capitals_are_names);
  CitedText cited(passages, support, task.plan.question, [&](std::string_view text) {
    return !asking.events.on_text || asking.events.on_text(text);
  });
  bool wanted = true;
  for (size_t i = 0; i < items.size() && wanted; ++i) {
    wanted = cited.feed((i > 0 ? "\n- " : "- ") + items[i].text + " [" + std::to_string(i + 1) + "]");
  }
  if (wanted) cited.finish();
  answer.text = cited.text();
  answer.citations = cited.citations();
  answer.unsupported = cited.unsupported();
  answer.found = !answer.text.empty();
  asking.tracer.add("list", std::to_string(items.size()) + " items",
                    {{"items", items.size()}, {"citations", answer.citations.size()}});
}

}  // namespace

WholeRequest understand_whole(Asking& asking, const QueryPlan& plan) {
  const Level level = asking.request.level;
  if (level != Level::kAuto && level != Level::kWhole && level != Level::kNative) return {};
  WholeRequest whole = whole_request(plan.question, [&] { return document_names(asking.documents); });
  if (level != Level::kAuto && whole.task == WholeTask::kNone) whole.task = WholeTask::kQuestion;
  if (whole.task == WholeTask::kCompare && asking.documents.n_documents() < 2)
    whole.task = WholeTask::kSummary;
  return whole;
}

void answer_whole(Asking& asking, QueryPlan plan, const WholeRequest& whole, Answer& answer) {
  Task task{asking, plan, whole.task, answer.cut};
  if (task.kind == WholeTask::kSummary || task.kind == WholeTask::kCompare)
    plan.instruction = {how_to_answer(task.kind, plan.question)};
  const WindowShare share = share_window(asking.model, asking.request, plan);
  const int fit = profile_of(asking.helper).fit_tokens;
  const int around = asking.helper.count_tokens(notes_request(task, {}, kMaxNotes));
  const int reply = task.lists() ? kItemsTokens : (kMaxNotes + 1) * kNoteTokens;
  task.span_tokens = std::max(64, std::min(fit, asking.helper.context_tokens() - reply - around));
  task.final_tokens = std::min(share.passages, profile_of(asking.model).fit_tokens / 2);
  task.capitals_are_names = asking.documents.guess_language(plan.question) != "de";

  const Scope scope = scope_of(task, whole);
  if (scope.n_documents > 1) task.label = EvidencePassage::Label::kTitle;
  for (const int64_t n : scope.n_chunks) answer.chunks_in_scope += n;
  if (answer.chunks_in_scope == 0) return write_answer(asking, plan, {}, share.answer, std::nullopt, answer);
  if (!task.lists()) {
    if (const std::optional<FilledContext> all =
            all_of(task, scope, std::min(share.passages, profile_of(asking.model).fit_tokens))) {
      answer.chunks_read = answer.chunks_in_scope;
      return write_answer(asking, plan, *all, share.answer, std::nullopt, answer);
    }
  }
  std::vector<Part> parts = plan_reading(task, scope, answer.chunks_in_scope);
  map(task, parts, scope.chunk_tokens, answer);
  if (task.lists()) return write_list(task, std::move(parts.front().notes), answer);
  std::vector<Note> notes;
  FilledContext context;
  for (Part& part : parts) {
    context.left_out += reduce(task, part.notes, task.final_tokens / static_cast<int>(parts.size()));
    for (Note& note : part.notes) notes.push_back(std::move(note));
  }
  context.passages = as_passages(notes, task.label);
  context.tokens = asking.model.count_tokens(render_passages(context.passages));
  asking.tracer.add("context", std::to_string(context.tokens) + " tokens of notes",
                    {{"passages", context.passages.size()},
                     {"left_out", context.left_out},
                     {"tokens", context.tokens},
                     {"budget", task.final_tokens}});
  write_answer(asking, plan, context, share.answer, std::nullopt, answer);
}

}  // namespace lectern
