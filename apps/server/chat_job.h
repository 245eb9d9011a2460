// A conversation that a compatible API asks to be continued: by the model alone, or by an answer from a
// collection. What the OpenAI and the Ollama routes share.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/http.h"
#include "apps/server/service.h"
#include "apps/server/store_view.h"
#include "apps/server/tools.h"
#include "engine/engine.h"

namespace lectern::server {

inline constexpr std::string_view kRagSuffix = "/rag";  // of a model's name: answer from documents

struct ChatJob {
  std::string model;                      // "": the default
  std::optional<std::string> collection;  // answer from it ("": the only one); none: plain chat
  std::vector<ChatMessage> messages;      // of a plain completion empty, then `text` is continued as it is
  std::string text;
  GenerateRequest generate;  // its prompt is not set yet
  ToolSet tools;             // of a plain chat
  // Of answers from a collection:
  std::optional<AttributeFilter> filter;  // only from files that match
  int max_passages = 0;                   // that the model reads; 0: what suits it
};

struct ChatResult {
  std::string text;
  std::vector<ToolCall> calls;
  bool truncated = false;  // the limit of tokens was reached
  int prompt_tokens = 0, cached_prompt_tokens = 0, new_tokens = 0;
  double seconds = 0;
  std::string model;
  std::optional<Answer> answer;         // of a collection
  std::map<int64_t, FileRecord> files;  // of a vector store's documents

  // What a client calls the document of a passage: the id and the name of its file.
  std::pair<std::string, std::string> file_of(const SourcePassage& passage) const;
};

// Splits "NAME/rag" and reads "collection".
void read_model_name(const Fields& fields, ChatJob& job);
// {"role", "content": text or [{"type": "text", "text"}], "tool_calls"}; throws HttpError(400) for other
// roles and parts.
std::vector<ChatMessage> read_messages(const Fields& fields);

// Ready to run: what can be refused has been refused. Holds the model.
class PreparedChat {
 public:
  // Waits for a turn and loads the model of a plain chat. Throws HttpError.
  PreparedChat(Service& service, ChatJob job, const CancelToken& cancel);

  const std::string& model() const { return model_; }
  // Throws Error(kCancelled) when the client leaves; `on_text` gets the text as it comes, `on_call` a call of
  // one of the tools when it is complete.
  ChatResult run(const std::function<void(std::string_view)>& on_text, const CancelToken& cancel,
                 const ToolCallParser::OnCall& on_call = {});

 private:
  void generate(ChatResult& result, const std::function<bool(std::string_view)>& pass_on,
                const CancelToken& cancel, const ToolCallParser::OnCall& on_call);
  void generate_forced_call(ChatResult& result, const CancelToken& cancel,
                            const ToolCallParser::OnCall& on_call);

  Service* service_;
  ChatJob job_;
  std::string model_;
  std::shared_ptr<OpenCollection> collection_;  // of a question
  std::optional<ModelHost::Lease> lease_;       // of a plain chat
  AskRequest question_;
  std::vector<int64_t> documents_;  // to which it is restricted; empty: all
  std::map<int64_t, FileRecord> files_;
};

}  // namespace lectern::server
