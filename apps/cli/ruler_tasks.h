// The task families of RULER (Hsieh et al. 2024, arXiv:2404.06654) with texts of our own: needles of several
// kinds, chains of variables, common and frequent words, questions among other paragraphs. Each sample is
// made from a seed, in any length, and is the same everywhere.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/squad_data.h"

namespace lectern {

struct RulerSample {
  std::string task;  // said before the text
  std::string text;
  std::string question;
  std::string reply_prefix;  // how the reply begins
  std::vector<std::string> answers;
  bool any_answer = false;  // they are spellings of one; else each is wanted
  int max_new_tokens = 0;

  std::string prompt() const { return task + "\n\n" + text + "\n\n" + question; }
};

// The share of the answers that stand in the reply (with any_answer: 1 when one does), compared as
// contains_answer() does: without case, at word boundaries.
double ruler_score(const RulerSample& sample, std::string_view reply);

// Their names: RULER's. "qa" is the last.
std::vector<std::string> ruler_task_names();
// Whether the answer comes from the whole of the text, so that no search for passages finds it.
bool ruler_needs_whole_text(std::string_view task);
// The most tokens that a reply to any task may have.
int ruler_max_new_tokens();

// The longest sample of which `count` (tokens of its whole prompt) is not above n_tokens. `data`: paragraphs
// and questions for "qa", for the other tasks unused. Throws Error(kInvalidArgument) for an unknown task and
// where n_tokens hold no sample, or more than there are paragraphs for.
using RulerTokenCount = std::function<int(const RulerSample&)>;
RulerSample make_ruler_sample(std::string_view task, int n_tokens, uint32_t seed,
                              const RulerTokenCount& count, const SquadData& data = {});

}  // namespace lectern
