#include "agent/chunk_judge.h"

#include "agent/helper_call.h"
#include "agent/languages.h"
#include "base/hash.h"

namespace lectern {
namespace {

// In nats per token of the question: what the best BM25 score is worth (docs/evaluation.md, "Reading
// chunks").
constexpr double kBm25Weight = 0.5;

constexpr std::string_view kLabelOpening = R"({"res": ")";

// A chunk seldom says what it is about: its title and heading do.
std::string rendered(const SourcePassage& chunk) {
  std::string out = chunk.title;
  if (!chunk.heading_path.empty() && chunk.heading_path != chunk.title) {
    out = chunk.heading_path.starts_with(chunk.title) || chunk.title.empty()
              ? chunk.heading_path
              : chunk.title + " > " + chunk.heading_path;
  }
  if (!out.empty()) out += '\n';
  out += chunk.text;
  return fenced_passage(std::move(out));
}

}  // namespace

ChunkJudge::ChunkJudge(LanguageModel& model, std::string question, JudgeMethod method)
    : model_(&model), question_(std::move(question)), method_(method) {}

LmRequest ChunkJudge::request_for(std::string_view passage) const {
  const std::string_view language = prompt_language(question_);
  switch (method_) {
    case JudgeMethod::kQuestionLikelihood: {
      LmRequest request = helper_request("judge_question", language, {{"passage", passage}}, 0);
      request.keep_prompt = true;
      return request;
    }
    case JudgeMethod::kLabel: {
      LmRequest request =
          helper_request("judge_label", language, {{"passage", passage}, {"question", question_}}, 0);
      request.assistant_prefix = kLabelOpening;
      return request;
    }
    case JudgeMethod::kYesNo:
      break;
  }
  return helper_request("judge_yes_no", language, {{"passage", passage}, {"question", question_}}, 0);
}

std::vector<double> ChunkJudge::scores_of(std::span<const LmRequest> requests, const CancelToken& cancel) {
  if (method_ == JudgeMethod::kQuestionLikelihood) return model_->score(requests, question_, cancel);
  std::array<std::string, 2> choices = {"ans", "none"};
  if (method_ == JudgeMethod::kYesNo) choices = yes_and_no(question_);
  std::vector<double> out;
  for (const std::vector<double>& of : model_->score_choices(requests, choices, cancel))
    out.push_back(of[0] - of[1]);
  return out;
}

std::vector<double> ChunkJudge::scores(std::span<const SourcePassage> chunks, const CancelToken& cancel) {
  std::vector<LmRequest> requests;
  for (const SourcePassage& chunk : chunks) requests.push_back(request_for(rendered(chunk)));
  return scores_of(requests, cancel);
}

double ChunkJudge::blank_score(const CancelToken& cancel) {
  const LmRequest requests[] = {request_for("…")};
  return scores_of(requests, cancel).front();
}

std::string ChunkJudge::key(const SourcePassage& chunk) {
  Sha256 hash;
  for (const std::string& part : {model_->fingerprint(), std::to_string(static_cast<int>(method_)),
                                  std::to_string(kJudgeVersion), question_, rendered(chunk)}) {
    hash.update(std::to_string(part.size()) + ":");
    hash.update(part);
  }
  return hash.hex_digest().substr(0, 32);
}

std::string fenced_passage(std::string text) {
  for (size_t i = text.find("</passage>"); i != std::string::npos; i = text.find("</passage>", i))
    text.insert(i + 1, " ");
  return text;
}

double fused_score(double judged, double bm25_share) {
  return judged + kBm25Weight * bm25_share;
}

}  // namespace lectern
