// Runs every tests/scenarios/*.json: documents, scripted replies by purpose, and what must come of them. The
// format is in docs/agent.md, "Scenarios". Beside the stated expectations every scenario must keep the
// promises: the streamed text is the answer, every [n] has a citation, every quote is in its document at its
// offsets, and the outcome does not depend on how the reply is cut into pieces.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "agent/agent.h"
#include "base/json.h"
#include "tests/support/catch.h"
#include "tests/support/memory_source.h"
#include "tests/support/scripted_model.h"

namespace lectern {
namespace {

Json read_scenario(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return parse_json(text.str(), path.string());
}

// "text" or {"repeat": "text", "times": n}: long inputs stay short in the files.
std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string out;
  for (int i = 0; i < value.at("times").get<int>(); ++i) out += value.at("repeat").get<std::string>();
  return out;
}

MemorySource make_documents(const Json& scenario) {
  std::vector<MemoryDocument> documents;
  for (const Json& entry : scenario.at("documents")) {
    MemoryDocument document;
    document.path = entry.at("path");
    document.title = entry.value("title", "");
    document.language = entry.value("language", "en");
    for (const Json& chunk : entry.at("chunks")) document.chunks.push_back(text_of(chunk));
    documents.push_back(std::move(document));
  }
  return MemorySource(std::move(documents));
}

ScriptedModel make_model(const Json& scenario, size_t piece_characters) {
  ScriptedModel model;
  model.piece_characters = piece_characters;
  if (scenario.contains("model")) {
    model.context = scenario["model"].value("context_tokens", model.context);
    model.billions = scenario["model"].value("billions", model.billions);
  }
  const Json replies = scenario.value("replies", Json::object());
  for (const auto& [purpose, list] : replies.items()) {
    for (const Json& entry : list) {
      ScriptedReply reply;
      if (entry.is_string()) {
        reply.text = entry.get<std::string>();
      } else {
        reply.text = entry.value("text", "");
        reply.truncated = entry.value("truncated", false);
        reply.error = entry.value("error", "");
      }
      model.replies[purpose].push_back(std::move(reply));
    }
  }
  return model;
}

AskRequest make_request(const Json& entry) {
  AskRequest request;
  request.question = text_of(entry.at("question"));
  request.level = parse_level(entry.value("level", "auto")).value();
  request.context_tokens = entry.value("context_tokens", request.context_tokens);
  request.max_passages = entry.value("max_passages", request.max_passages);
  request.max_answer_tokens = entry.value("max_answer_tokens", request.max_answer_tokens);
  if (entry.contains("budget")) {
    request.budget.chunks = entry["budget"].value("chunks", 0);
    request.budget.tokens = entry["budget"].value("tokens", 0);
    request.budget.seconds = entry["budget"].value("seconds", 0.0);
  }
  const std::string helpers = entry.value("helper_calls", "auto");
  request.helper_calls = helpers == "always"  ? HelperCalls::kAlways
                         : helpers == "never" ? HelperCalls::kNever
                                              : HelperCalls::kAuto;
  for (const Json& turn : entry.value("history", Json::array())) {
    const bool user = turn.contains("user");
    request.history.push_back({user ? LmMessage::Role::kUser : LmMessage::Role::kAssistant,
                               text_of(turn.at(user ? "user" : "assistant"))});
  }
  return request;
}

void check_promises(const Answer& answer, const MemorySource& documents, const std::string& streamed) {
  CHECK(streamed == answer.text);
  std::set<int> numbers;
  for (const Citation& citation : answer.citations) {
    CAPTURE(citation.number, citation.quote);
    CHECK(numbers.insert(citation.number).second);
    CHECK(answer.text.find("[" + std::to_string(citation.number) + "]") != std::string::npos);
    const std::string& text = documents.text(citation.passage.document_id);
    REQUIRE(citation.quote_end <= text.size());
    REQUIRE(citation.quote_begin < citation.quote_end);
    CHECK(text.substr(citation.quote_begin, citation.quote_end - citation.quote_begin) == citation.quote);
    CHECK(citation.quote_begin >= citation.passage.begin);
    CHECK(citation.quote_end <= citation.passage.end);
  }
  static const std::regex kCode("`[^`]*`"), kMarker(R"(\[(\d+)\])");
  const std::string prose = std::regex_replace(answer.text, kCode, "");
  for (std::sregex_iterator i(prose.begin(), prose.end(), kMarker), end; i != end; ++i) {
    CHECK(numbers.count(std::stoi((*i)[1])) == 1);
  }
}

void check_citations(const Json& expected, const Answer& answer) {
  REQUIRE(answer.citations.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const Citation& citation = answer.citations[i];
    if (expected[i].contains("path")) CHECK(citation.passage.path == expected[i]["path"].get<std::string>());
    if (expected[i].contains("quote")) CHECK(citation.quote == expected[i]["quote"].get<std::string>());
  }
}

std::string prompt_of(const LmRequest& call) {
  std::string text;
  for (const LmMessage& message : call.messages) text += message.content + "\n";
  return text;
}

void check_prompts(const Json& expected, const ScriptedModel& model, bool present) {
  for (const auto& [purpose, words] : expected.items()) {
    std::string prompts;
    for (const LmRequest& call : model.calls) {
      if (call.purpose == purpose) prompts += prompt_of(call);
    }
    for (const Json& word : words) {
      CAPTURE(purpose, word.get<std::string>());
      CHECK((prompts.find(word.get<std::string>()) != std::string::npos) == present);
    }
  }
}

void check_trace(const Json& expected, const Trace& trace) {
  const std::string text = dump_json(to_json(trace));
  for (const Json& word : expected) {
    CAPTURE(word.get<std::string>());
    CHECK(text.find(word.get<std::string>()) != std::string::npos);
  }
}

void check_expectations(const Json& expect, const Answer& answer, const ScriptedModel& model,
                        const MemorySource& documents) {
  std::vector<std::string> purposes;
  for (const LmRequest& call : model.calls) purposes.push_back(call.purpose);
  CHECK(purposes == expect.at("calls").get<std::vector<std::string>>());
  CHECK(answer.trace.calls == static_cast<int>(model.calls.size()));
  CHECK(answer.found == expect.value("found", true));
  if (expect.contains("text")) CHECK(answer.text == expect["text"].get<std::string>());
  if (expect.contains("citations")) check_citations(expect["citations"], answer);
  std::vector<std::string> unsupported;
  for (const TextRange& claim : answer.unsupported) unsupported.emplace_back(claim.of(answer.text));
  CHECK(unsupported == expect.value("unsupported", std::vector<std::string>{}));
  if (expect.contains("level")) {
    const Json& level = expect["level"];
    CHECK(to_string(answer.level) ==
          (level.is_string() ? level.get<std::string>() : std::to_string(level.get<int>())));
  }
  if (expect.contains("read"))
    CHECK(std::vector<int64_t>{answer.chunks_read, answer.chunks_in_scope} ==
          expect["read"].get<std::vector<int64_t>>());
  CHECK(to_string(answer.cut) == expect.value("cut", std::string("none")));
  if (expect.contains("left_out")) CHECK(answer.passages_left_out == expect["left_out"].get<int>());
  if (expect.contains("question")) CHECK(answer.standalone_question == expect["question"].get<std::string>());
  if (expect.contains("context")) {
    std::vector<std::string> context;
    for (const SourcePassage& p : answer.context) context.push_back(p.path + "#" + std::to_string(p.ordinal));
    CHECK(context == expect["context"].get<std::vector<std::string>>());
  }
  for (const Json& query : expect.value("queries", Json::array())) {
    CAPTURE(query.get<std::string>());
    CHECK(std::count(documents.searched.begin(), documents.searched.end(), query.get<std::string>()) > 0);
  }
  check_prompts(expect.value("prompts", Json::object()), model, true);
  check_prompts(expect.value("prompts_without", Json::object()), model, false);
  check_trace(expect.value("trace", Json::array()), answer.trace);
}

void run_scenario(const Json& scenario, size_t piece_characters) {
  CAPTURE(piece_characters);
  MemorySource documents = make_documents(scenario);
  ScriptedModel model = make_model(scenario, piece_characters);
  const Json& expect = scenario.at("expect");
  std::string streamed;
  AskEvents events;
  events.on_text = [&](std::string_view text) {
    streamed += text;
    return true;
  };
  try {
    Agent agent(model, documents);
    const Answer answer = agent.ask(make_request(scenario.at("request")), events, CancelToken());
    REQUIRE_FALSE(expect.contains("error"));
    check_promises(answer, documents, streamed);
    check_expectations(expect, answer, model, documents);
  } catch (const Error& error) {
    INFO(error.what());
    REQUIRE(expect.contains("error"));
    CHECK(to_string(error.code()) == expect["error"].at("code").get<std::string>());
    for (const Json& word : expect["error"].at("contains")) {
      CHECK(std::string(error.what()).find(word.get<std::string>()) != std::string::npos);
    }
  }
}

}  // namespace

TEST_CASE("every scenario file") {
  int n = 0;
  for (const auto& file : std::filesystem::directory_iterator(LECTERN_SCENARIO_FOLDER)) {
    if (file.path().extension() != ".json") continue;
    const std::string name = file.path().stem().string();
    DYNAMIC_SECTION(name) {
      const Json scenario = read_scenario(file.path());
      for (const size_t piece : {1, 3, 7, 100000}) run_scenario(scenario, piece);
    }
    ++n;
  }
  CHECK(n >= 20);
}

}  // namespace lectern
