#include "apps/cli/answering.h"

#include <utility>

#include "agent/collection_source.h"
#include "apps/cli/number_options.h"
#include "apps/cli/passages.h"

namespace lectern::cli {
namespace {

HelperCalls helpers_of(const std::string& name) {
  if (name == "always") return HelperCalls::kAlways;
  if (name == "never") return HelperCalls::kNever;
  return HelperCalls::kAuto;
}

void print_citation(Output& out, const Citation& citation) {
  out.print_line(
      out.bold("[" + std::to_string(citation.number) + "] " + describe(place_of(citation.passage))));
  out.print(out.dim(indented("\"" + citation.quote + "\"", 4)));
}

void warn_of_unsupported(Output& out, const Answer& answer) {
  if (answer.unsupported.empty()) return;
  if (!is_supported(answer)) {
    out.warning("nothing in the passages that were read supports this answer: do not rely on it");
    return;
  }
  for (const TextRange& claim : answer.unsupported)
    out.warning("no passage supports: " + printable(claim.of(answer.text)));
}

void warn_of_cut(Output& out, const Answer& answer) {
  if (answer.cut == AnswerCut::kNone) return;
  const bool may_be_longer = answer.cut == AnswerCut::kLimit && answer.level != Level::kWhole;
  out.warning(why_cut(answer) + (may_be_longer ? "; --max-tokens allows more" : ""));
}

// What of long documents was not read is said, not only counted.
void note_partial_reading(Output& out, const Answer& answer) {
  if (answer.chunks_read >= answer.chunks_in_scope) return;
  out.note("read " + std::to_string(answer.chunks_read) + " of " + plural(answer.chunks_in_scope, "passage") +
           ", the most telling of every part of the documents; --budget " +
           std::to_string(answer.chunks_in_scope) + "chunks reads all");
}

// "level 1 · 6 passages (2 more did not fit) · 2,431 + 58 tokens · 9.8 s"
std::string what_it_took(const Answer& answer) {
  const auto in_prompt = static_cast<int64_t>(answer.context.size());
  std::string text = "level " + std::string(to_string(answer.level)) + " · " +
                     plural(answer.chunks_in_scope > 0 ? answer.chunks_read : in_prompt, "passage") + " read";
  if (answer.passages_left_out > 0)
    text += " (" + std::to_string(answer.passages_left_out) + " more did not fit)";
  text += " · " + std::to_string(answer.trace.prompt_tokens) + " + " +
          std::to_string(answer.trace.new_tokens) + " tokens";
  if (answer.level == Level::kNative && answer.trace.cached_prompt_tokens > 0)
    text += " (" + std::to_string(answer.trace.cached_prompt_tokens) + " of them read before)";
  return text + " · " + format_seconds(answer.trace.seconds);
}

Json citation_json(const Citation& citation) {
  Json json{{"number", citation.number}};
  json.update(to_json(place_of(citation.passage)));
  json["chunk"] = citation.passage.chunk_id;
  json["document"] = citation.passage.document_id;
  json["quote"] = citation.quote;
  json["quote_bytes"] = {citation.quote_begin, citation.quote_end};
  return json;
}

void add_answer(Json& json, const Answer& answer, bool explain) {
  json["answer"] = answer.text;
  json["found"] = answer.found;
  json["citations"] = Json::array();
  for (const Citation& citation : answer.citations) json["citations"].push_back(citation_json(citation));
  json["unsupported"] = Json::array();
  for (const TextRange& claim : answer.unsupported) json["unsupported"].push_back(claim.of(answer.text));
  json["standalone_question"] = answer.standalone_question;
  json["level"] = to_string(answer.level);
  json["cut"] = to_string(answer.cut);
  json["passages"] = answer.context.size();
  json["passages_left_out"] = answer.passages_left_out;
  if (answer.chunks_in_scope > 0) {
    json["chunks_read"] = answer.chunks_read;
    json["chunks_in_scope"] = answer.chunks_in_scope;
  }
  json["calls"] = answer.trace.calls;
  json["prompt_tokens"] = answer.trace.prompt_tokens;
  json["cached_prompt_tokens"] = answer.trace.cached_prompt_tokens;
  json["new_tokens"] = answer.trace.new_tokens;
  json["seconds"] = answer.trace.seconds;
  if (!explain) return;
  json["context"] = Json::array();
  for (const SourcePassage& passage : answer.context) {
    Json item = to_json(place_of(passage));
    item["chunk"] = passage.chunk_id;
    item["score"] = passage.score;
    item["text"] = passage.text;
    json["context"].push_back(item);
  }
  json["trace"] = lectern::to_json(answer.trace);
}

}  // namespace

void add_answer_options(CLI::App* command, AnswerOptions& options) {
  command
      ->add_option(
          "--level", options.level,
          "0: read everything at once, 1: retrieve, 2: judge chunk by chunk, 3: ask itself simpler "
          "questions, 4: read documents of any length at once, as far as model and memory allow, whole: read "
          "everything, in spans where that is better (summaries, lists, comparisons), auto: what suits")
      ->check(CLI::IsMember({"auto", "0", "1", "2", "3", "4", "whole"}))
      ->capture_default_str();
  command->add_option("--context", options.context_tokens, "Tokens of passages that the model is given")
      ->check(CLI::Range(256, 1 << 20))
      ->capture_default_str();
  command->add_option("--passages", options.max_passages, "At most so many passages; 0: what suits the model")
      ->check(CLI::Range(0, 10000))
      ->capture_default_str();
  command->add_option("--max-tokens", options.max_answer_tokens, "Longest answer, in tokens")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command
      ->add_option("--helpers", options.helpers,
                   "Whether the model also splits the request and finds keywords: auto, always, never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  command
      ->add_option(
          "--budget", options.budget,
          "What reading whole documents may cost: 30s, 2min, 200chunks or 20000tokens; may be repeated")
      ->option_text("LIMIT")
      ->allow_extra_args(false)
      ->check(CLI::Validator(
          [](std::string& limit) {
            try {
              parse_budget({limit});
              return std::string();
            } catch (const Error& error) {
              return std::string(error.what());
            }
          },
          ""));
  add_seed_option(command, options.seed, "Of the sampler")->capture_default_str();
  command->add_flag("--explain", options.explain, "Show every step: searches, model calls, scores");
  command->add_flag("--no-index", options.no_index, "Ask what is indexed, without looking for changes");
}

AskRequest make_request(const AnswerOptions& options, std::string question) {
  return {.question = std::move(question),
          .level = parse_level(options.level).value_or(Level::kAuto),
          .context_tokens = options.context_tokens,
          .max_passages = options.max_passages,
          .max_answer_tokens = options.max_answer_tokens,
          .budget = parse_budget(options.budget),
          .seed = options.seed,
          .helper_calls = helpers_of(options.helpers)};
}

std::unique_ptr<Answerer> Answerer::open(Program& program, const std::string& folder,
                                         const AnswerOptions& options, const std::string& question) {
  std::unique_ptr<Answerer> self(new Answerer);
  self->options_ = options;
  check_model(program);  // a model that is missing is said before any document is read
  self->target_ = find_target(program, folder);
  const bool may_create = !self->target_.folder.empty() && !options.no_index;
  self->collection_ = may_create ? open_or_create(self->target_) : open_existing(self->target_);
  self->refresh(program);
  if (self->collection_->stats().n_documents == 0) {
    const auto& where = self->target_.folder.empty() ? self->target_.database : self->target_.folder;
    program.output().nothing("no documents in " + printable(where.string()));
    return nullptr;
  }
  if ((options.level == "4" || options.level == "whole") && !is_remote(program)) {
    CollectionSource source(*self->collection_);
    self->plan_ = plan_reading(program, source,
                               question.empty() ? std::span<const std::string>() : std::span(&question, 1),
                               options.max_answer_tokens);
    if (options.level == "4") require_fit(program, *self->plan_);
    if (!self->plan_->context.fits()) self->plan_.reset();
  }
  self->model_ = open_model(program, self->plan_ ? &*self->plan_ : nullptr);
  return self;
}

void Answerer::refresh(Program& program) {
  if (!options_.no_index) bring_up_to_date(program, *collection_, target_);
}

Answer Answerer::answer(Program& program, const AskRequest& request, const AnswerEvents& events,
                        const CancelToken& cancel) {
  Output& out = program.output();
  CollectionSource source(*collection_);
  bool at_line_start = true;
  AskEvents ask_events;
  // The steps of the answer itself end while its last words are still held back: they are shown after it.
  std::vector<std::string> steps_of_answer;
  std::vector<std::string> problems;  // with what is kept on disk
  ask_events.on_step = [&](const TraceStep& step) {
    if (events.on_step) events.on_step(step);
    if (step.kind == "kept") problems.push_back(step.detail);
    if (step.kind == "whole" && plan_) {
      plan_->context.kept = step.data["kept"].get<bool>();
      if (!std::exchange(plan_is_told_, true)) out.note("plan: " + describe(plan_->context));
    }
    if (!options_.explain || out.json()) return;
    std::string line = step.kind + ": " + printable(step.detail) + "  (" + format_seconds(step.seconds) + ")";
    if (step.kind == "answer" || step.kind == "citations") return steps_of_answer.push_back(std::move(line));
    out.note(out.dim(line));
  };
  ask_events.on_text = [&](std::string_view text) {
    if (events.on_text) events.on_text(text);
    if (!out.json() && !text.empty()) {
      out.print(printable(text, /*keep_newlines=*/true));
      at_line_start = text.ends_with('\n');
    }
    return true;
  };
  ask_events.on_progress = out.progress();
  Answer answer;
  try {
    answer = Agent(*model_.model, model_.helper(), source).ask(request, ask_events, cancel);
  } catch (const Error&) {
    if (!at_line_start) out.print("\n");  // what is said of the error begins a line
    throw;
  }
  if (plan_) remember_speed(program, *plan_, answer);
  if (out.json()) {
    for (const std::string& problem : problems) out.warning(printable(problem));
    return answer;
  }
  if (!at_line_start) out.print("\n");
  if (!answer.citations.empty()) out.print("\n");
  for (const Citation& citation : answer.citations) print_citation(out, citation);
  warn_of_cut(out, answer);
  warn_of_unsupported(out, answer);
  for (const std::string& problem : problems) out.warning(printable(problem));
  if (answer.standalone_question != request.question)
    out.note(out.dim("understood as: " + printable(answer.standalone_question)));
  for (const std::string& line : steps_of_answer) out.note(out.dim(line));
  note_partial_reading(out, answer);
  out.note(what_it_took(answer));
  return answer;
}

Json Answerer::to_json(const std::string& question, const Answer& answer) const {
  Json result = json_result("ask");
  result["question"] = question;
  result["model"] = model_.model->name();
  add_answer(result, answer, options_.explain);
  if (plan_ && answer.level == Level::kNative) result["plan"] = cli::to_json(plan_->context);
  return result;
}

}  // namespace lectern::cli
