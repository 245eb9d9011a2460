// lectern eval folder: a person's own questions over their own folder, with the answers and files they
// expect.
#include <algorithm>
#include <map>

#include "agent/agent.h"
#include "agent/collection_source.h"
#include "apps/cli/answer_match.h"
#include "apps/cli/command.h"
#include "apps/cli/json_entries.h"
#include "apps/cli/language_model.h"
#include "apps/cli/measurement.h"
#include "apps/cli/number_options.h"
#include "apps/cli/output_file.h"
#include "apps/cli/target.h"
#include "base/clock.h"
#include "base/error.h"

namespace lectern::cli {
namespace {

struct FolderOptions {
  std::string folder;
  std::string questions;
  std::string level = "auto";
  std::string kind;
  std::string replies;
  uint64_t seed = 0;
};

struct FolderQuestion {
  std::string place;  // in the file, for messages
  std::string question;
  std::string kind;                  // a name by which figures are grouped
  std::vector<std::string> answers;  // none: the documents do not answer it
  std::vector<std::string> files;    // that are needed, as paths within the folder
};

struct FolderSums {
  int n = 0, answerable = 0;
  int contains = 0, refused = 0;                    // of the answerable ones
  int with_files = 0, contains_with_files = 0;      // of those, the ones that name files
  int cited = 0, cited_correct = 0, all_files = 0;  // of the latter
  int abstained = 0;                                // of the others
  int64_t calls = 0;
  double seconds = 0;
};

double share(double part, int whole) {
  return whole > 0 ? part / whole : 0;
}

Json to_json(const FolderSums& sums) {
  const int others = sums.n - sums.answerable;
  Json json = {{"n", sums.n}};
  if (sums.answerable > 0) {
    json["contains"] = share(sums.contains, sums.answerable);
    if (sums.with_files > 0) {
      json["all_files_read"] = share(sums.all_files, sums.with_files);
      json["cited"] = share(sums.cited, sums.with_files);
      json["cited_of_correct"] = share(sums.cited_correct, sums.contains_with_files);
    }
    json["wrongly_refused"] = share(sums.refused, sums.answerable);
  }
  if (others > 0) json["abstains"] = share(sums.abstained, others);
  json["calls"] = share(static_cast<double>(sums.calls), sums.n);
  json["seconds_per_question"] = share(sums.seconds, sums.n);
  return json;
}

std::vector<FolderQuestion> read_questions(const FolderOptions& options) {
  std::vector<FolderQuestion> questions;
  for_each_entry(options.questions, [&](const JsonEntry& entry) {
    FolderQuestion question;
    question.place = entry.place();
    question.question = entry.string("question");
    said_of(question.place, [&] { require_words(question.question, "question"); });
    question.answers = entry.strings("answers");
    for (const std::string& answer : question.answers)
      if (answer_tokens(answer).empty())
        entry.fail("has an answer without words: \"" + printable(answer) + "\"");
    question.files = entry.strings("files");
    if (entry.has("kind")) question.kind = entry.string("kind");
    if (options.kind.empty() || question.kind == options.kind) questions.push_back(std::move(question));
  });
  if (questions.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                options.questions + ": no question is of the kind \"" + options.kind + "\"");
  }
  return questions;
}

class FolderEvaluation {
 public:
  FolderEvaluation(const FolderOptions& options, Program& program)
      : options_(options),
        program_(program),
        questions_(read_questions(options)),
        replies_(
            "--replies", options.replies,
            with_shared_inputs(program, {{"--questions", options.questions}, {"FOLDER", options.folder}})) {
    // In memory: what is measured is the folder as it is now, and nothing kept from earlier questions.
    const std::filesystem::path roots[] = {options.folder};
    warn_about_files(program, collection_->index(roots, {}, program.output().progress(), program.cancel));
    leave_out(options.questions);
    if (collection_->stats().n_documents == 0)
      throw Error(ErrorCode::kInvalidArgument, options.folder + ": holds no documents to ask");
    check_files();
    source_ = std::make_unique<CollectionSource>(*collection_);
    std::vector<std::string> asked;
    for (const FolderQuestion& question : questions_) asked.push_back(question.question);
    model_ = open_model_for(program, level_, *source_, asked);
  }

  int run() {
    Measurement measurement(program_);
    measurement.each("asking", questions_, [&](const FolderQuestion& question) { ask(question); });
    Json result = json_result("eval.folder");
    result.update(to_json(all_));
    if (by_kind_.size() > 1)
      for (const auto& [kind, sums] : by_kind_) result["kinds"][kind] = to_json(sums);
    result["missed"] = missed_;
    return measurement.print(std::move(result));
  }

 private:
  // The questions may lie in the folder, and are no part of what is asked.
  void leave_out(const std::string& file) {
    std::error_code unknown;
    for (const DocumentInfo& document : collection_->documents())
      if (std::filesystem::equivalent(document.path, file, unknown)) collection_->remove(document.path);
  }

  void check_files() const {
    const std::vector<DocumentInfo> documents = collection_->documents();
    for (const FolderQuestion& question : questions_) {
      for (const std::string& file : question.files) {
        if (std::none_of(documents.begin(), documents.end(),
                         [&](const DocumentInfo& document) { return document.path == file; }))
          throw Error(ErrorCode::kInvalidArgument,
                      question.place + ": " + file + " is no document of " + options_.folder);
      }
    }
  }

  void ask(const FolderQuestion& question) {
    AskRequest request;
    request.question = question.question;
    request.level = level_;
    request.seed = options_.seed;
    const Stopwatch watch;
    const Answer answer = said_of(question.place, [&] {
      return Agent(*model_.model, model_.helper(), *source_).ask(request, {}, program_.cancel);
    });
    const double seconds = watch.seconds();
    const bool holds = contains_answer(without_markers(answer.text), question.answers);
    const bool cited = std::any_of(answer.citations.begin(), answer.citations.end(), [&](const Citation& c) {
      return std::any_of(question.files.begin(), question.files.end(),
                         [&](const std::string& file) { return c.passage.path == file; });
    });
    const bool all_files =
        std::all_of(question.files.begin(), question.files.end(), [&](const std::string& file) {
          return std::any_of(answer.context.begin(), answer.context.end(),
                             [&](const SourcePassage& passage) { return passage.path == file; });
        });
    for (FolderSums* sums : {&all_, &by_kind_[question.kind]}) {
      ++sums->n;
      sums->calls += answer.trace.calls;
      sums->seconds += seconds;
      if (question.answers.empty()) {
        sums->abstained += !answer.found;
        continue;
      }
      ++sums->answerable;
      sums->contains += holds;
      sums->refused += !answer.found;
      if (question.files.empty()) continue;
      ++sums->with_files;
      sums->contains_with_files += holds;
      sums->cited += cited;
      sums->cited_correct += holds && cited;
      sums->all_files += all_files;
    }
    if (question.answers.empty() ? answer.found : !holds)
      missed_.push_back(
          {{"question", question.question}, {"answers", question.answers}, {"reply", answer.text}});
    if (!replies_.is_open()) return;
    replies_.add({{"question", question.question},
                  {"kind", question.kind},
                  {"answers", question.answers},
                  {"reply", answer.text},
                  {"level", to_string(answer.level)},
                  {"found", answer.found},
                  {"contains", holds},
                  {"cited", cited},
                  {"all_files_read", all_files},
                  {"trace", lectern::to_json(answer.trace)}});
  }

  const FolderOptions& options_;
  Program& program_;
  const Level level_ = parse_level(options_.level).value();
  std::vector<FolderQuestion> questions_;
  OutputFile replies_;
  std::unique_ptr<Collection> collection_ = Collection::open_in_memory();
  std::unique_ptr<CollectionSource> source_;
  OpenModel model_;
  FolderSums all_;
  std::map<std::string, FolderSums> by_kind_;
  Json missed_ = Json::array();  // answered wrongly, or answered where the documents do not
};

}  // namespace

void register_eval_folder(CLI::App& eval, Program& program) {
  CLI::App* command =
      add_command(eval, "folder", "Ask your own questions over your own folder, and compare",
                  "  lectern eval folder notes --questions notes/questions.json\n"
                  "  lectern eval folder letters --questions letters/questions.json --level 3 --json");
  auto options = std::make_shared<FolderOptions>();
  command->add_option("FOLDER", options->folder, "The documents")->required()->check(CLI::ExistingPath);
  command
      ->add_option(
          "--questions", options->questions,
          "A JSON list of questions, each with \"question\", \"answers\" (none: the documents do not "
          "say), \"files\" that are needed, and optionally its \"kind\"")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("--kind", options->kind, "Only the questions of this kind");
  command
      ->add_option(
          "--level", options->level,
          "0: read everything, 1: retrieve, 2: read chunk by chunk, 3: ask itself simpler questions, "
          "4: read documents whole, auto: what suits")
      ->check(CLI::IsMember({"auto", "0", "1", "2", "3", "4"}))
      ->capture_default_str();
  add_seed_option(command, options->seed, "Of the answers");
  command->add_option("--replies", options->replies,
                      "Write every reply with its trace to this file, a JSON line each");
  add_model_options(command, program.options);
  add_llm_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [options, &program] { return FolderEvaluation(*options, program).run(); });
}

}  // namespace lectern::cli
