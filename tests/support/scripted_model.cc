#include "tests/support/scripted_model.h"

#include <stdexcept>

#include "agent/text_terms.h"
#include "base/utf8.h"

namespace lectern {

int ScriptedModel::count_tokens(std::string_view text) const {
  int tokens = 0;
  bool in_word = false;
  for (size_t i = 0; i < text.size();) {
    const utf8::Decoded d = utf8::decode(text, i);
    i += d.length;
    const bool blank = d.code_point == ' ' || d.code_point == '\n' || d.code_point == '\t';
    const bool word = is_word_character(d.code_point) && !is_unspaced_script(d.code_point);
    if (!blank && !(word && in_word)) ++tokens;
    in_word = word;
  }
  return tokens;
}

int ScriptedModel::count_tokens(const LmRequest& request) const {
  int tokens = 3 + count_tokens(request.assistant_prefix);
  for (const LmMessage& message : request.messages) tokens += 4 + count_tokens(message.content);
  return tokens;
}

LmReply ScriptedModel::chat(const LmRequest& request, const LmTextCallback& on_text,
                            const CancelToken& cancel) {
  cancel.throw_if_cancelled();
  calls.push_back(request);
  std::deque<ScriptedReply>& queue = replies[request.purpose];
  if (queue.empty()) throw std::logic_error("the script has no further reply for '" + request.purpose + "'");
  const ScriptedReply scripted = queue.front();
  queue.pop_front();
  LmReply reply;
  reply.prompt_tokens = count_tokens(request);
  if (reply.prompt_tokens + request.max_new_tokens > context) {
    throw std::logic_error("the agent overran the window in '" + request.purpose +
                           "': " + std::to_string(reply.prompt_tokens) + " + " +
                           std::to_string(request.max_new_tokens));
  }
  for (size_t i = 0; i < scripted.text.size();) {
    size_t end = i;
    for (size_t n = 0; n < piece_characters && end < scripted.text.size(); ++n) {
      end += utf8::decode(scripted.text, end).length;
    }
    const std::string piece = scripted.text.substr(i, end - i);
    reply.text += piece;
    i = end;
    if (on_text && !on_text(piece)) break;
  }
  if (!scripted.error.empty()) throw Error(ErrorCode::kUnavailable, scripted.error);
  reply.truncated = scripted.truncated;
  reply.new_tokens = count_tokens(reply.text);
  return reply;
}

std::vector<double> ScriptedModel::score(std::span<const LmRequest> requests, std::string_view continuation,
                                         const CancelToken& cancel) {
  cancel.throw_if_cancelled();
  scored.insert(scored.end(), requests.begin(), requests.end());
  const auto known = scores.find(continuation);
  return std::vector<double>(requests.size(), known == scores.end() ? 0.0 : known->second);
}

}  // namespace lectern
