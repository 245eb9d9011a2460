// A language model that replies from a script, by the purpose of the call, and remembers what it was asked.
// A token is a word of letters and digits, a single other visible character, or one unspaced character.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "agent/language_model.h"

namespace lectern {

struct ScriptedReply {
  std::string text;
  bool truncated = false;
  std::string error;  // not empty: the call throws Error(kUnavailable) after streaming `text`
};

class ScriptedModel : public LanguageModel {
 public:
  int context = 4096;
  double billions = 0;
  size_t piece_characters = 1;  // streamed at a time
  std::map<std::string, std::deque<ScriptedReply>> replies;
  std::vector<LmRequest> calls;
  std::map<std::string, double, std::less<>> scores;  // by continuation; 0 for others
  std::vector<LmRequest> scored;

  std::string name() const override { return "scripted"; }
  double billion_parameters() const override { return billions; }
  int context_tokens() const override { return context; }
  int count_tokens(std::string_view text) const override;
  int count_tokens(const LmRequest& request) const override;
  LmReply chat(const LmRequest& request, const LmTextCallback& on_text, const CancelToken& cancel) override;
  std::vector<double> score(std::span<const LmRequest> requests, std::string_view continuation,
                            const CancelToken& cancel) override;
};

}  // namespace lectern
