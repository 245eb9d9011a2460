// The real program with the small real model: interrupts, conversations, measuring.
#include "tests/cli/program.h"
#include "tests/support/catch.h"
#include "tests/support/real_models.h"
#include "tests/support/terminal.h"

using namespace lectern;
using namespace lectern::test;
namespace fs = std::filesystem;

namespace {

constexpr const char* kModel = "qwen2.5-coder-0.5b-instruct";

// Before a World hides the person's cache folder.
struct RealModel {
  fs::path path = real_model_path(kSmallModelFile);
  bool is_there() const { return fs::exists(path); }
};

struct Notes : RealModel, World {
  Notes() {
    write("good.md", "# Good\n\nThe lighthouse was built in 1850 by Ada Quill.\n");
    fs::create_directories(folder() / "cache" / "lectern" / "models");
    fs::create_symlink(path, folder() / "cache" / "lectern" / "models" / kSmallModelFile);
  }
  std::string name() const { return documents().string(); }
  ScopedVariable model_{"LECTERN_MODEL", kModel};
};

}  // namespace

TEST_CASE("ctrl-c stops an answer of the chat and at the prompt ends it") {
  if (!RealModel().is_there()) LECTERN_SKIP("no weights: lectern pull");
  const Notes notes;
  if (!Terminal::available()) LECTERN_SKIP("no pseudo terminal can be opened here");
  Terminal terminal({LECTERN_PROGRAM, "chat", notes.name(), "--max-tokens", "2000", "--context", "1024"});
  REQUIRE(terminal.wait_for("> "));
  terminal.send("Write a long poem about the lighthouse, at least one hundred lines.\n");
  REQUIRE(terminal.wait_for("lines.\r\n"));
  ::usleep(300'000);
  terminal.send(kCtrlC);
  REQUIRE(terminal.wait_for("stopped"));
  REQUIRE(terminal.wait_for("> "));
  terminal.send("When was the lighthouse built?\n");
  CHECK(terminal.wait_for("1850"));
  CHECK(terminal.wait_for("level "));  // what it took: a "> " before that is of a section's path
  CHECK(terminal.wait_for("> "));
  SECTION("Ctrl-D") {
    terminal.send(kCtrlD);
    CHECK(terminal.wait_for_end() == 0);
  }
  SECTION("Ctrl-C") {
    terminal.send(kCtrlC);
    CHECK(terminal.wait_for_end() == 130);
  }
}

TEST_CASE("an interrupt ends ask with 130 and leaves the index whole") {
  if (!RealModel().is_there()) LECTERN_SKIP("no weights: lectern pull");
  const Notes notes;
  if (!Terminal::available()) LECTERN_SKIP("no pseudo terminal can be opened here");
  Terminal terminal({LECTERN_PROGRAM, "ask", notes.name(), "Tell a very long story of the lighthouse.",
                     "--max-tokens", "4000"});
  REQUIRE(terminal.wait_for("loading"));
  terminal.send(kCtrlC);
  CHECK(terminal.wait_for("lectern: interrupted"));
  CHECK(terminal.wait_for_end() == 130);
  CHECK(notes.run({"doctor", notes.name()}).exit_code == 0);
}

TEST_CASE("a question too long for the model is one error and the chat goes on") {
  if (!RealModel().is_there()) LECTERN_SKIP("no weights: lectern pull");
  const Notes notes;
  std::string question = "When was the lighthouse built?";
  while (question.size() < 100'000) question += " word" + std::to_string(question.size());
  const SubprocessResult asked = notes.run({"ask", notes.name(), question, "-q"});
  CHECK(asked.exit_code == 2);
  CHECK(is_one_error(asked.err));
  CHECK_THAT(asked.err, Catch::Contains("tokens"));

  write_file_atomically(notes.folder() / "questions.txt",
                        question + "\n?!\nWhen was the lighthouse built?\n");
  const SubprocessResult chatted =
      notes.run_shell("\"$LECTERN\" chat \"$DOCUMENTS\" -q --json < \"$DOCUMENTS/../questions.txt\"");
  CHECK(chatted.exit_code == 2);
  CHECK(std::count(chatted.err.begin(), chatted.err.end(), '\n') == 2);
  std::vector<Json> objects;
  for (size_t begin = 0, end = 0; (end = chatted.out.find('\n', begin)) != std::string::npos; begin = end + 1)
    objects.push_back(parse_json(chatted.out.substr(begin, end - begin), "stdout"));
  REQUIRE(objects.size() == 3);
  CHECK(objects[0]["schema"] == "lectern.error/1");
  CHECK(objects[1]["schema"] == "lectern.error/1");
  CHECK_THAT(objects[2]["answer"].get<std::string>(), Catch::Contains("1850"));
}

TEST_CASE("eval qa answers and scores a small SQuAD file") {
  if (!RealModel().is_there()) LECTERN_SKIP("no weights: lectern pull");
  const Notes notes;
  const fs::path squad = fs::path(LECTERN_SOURCE_DIR) / "examples" / "squad";
  const fs::path replies = notes.folder() / "replies.jsonl";
  const SubprocessResult result = notes.run({"eval", "qa", "--data", (squad / "en.json").string(), "--level",
                                             "1", "--json", "--replies", replies.string()});
  REQUIRE(result.exit_code == 0);
  const Json scores = World::json(result);
  INFO(result.out);
  CHECK(scores["schema"] == "lectern.eval.qa/1");
  CHECK(scores["n"] == 5);
  CHECK(scores["evidence_recall"] == 1.0);
  CHECK(scores["contains"].get<double>() >= 0.6);
  CHECK(scores["quotes_verbatim"] == 1.0);
  const std::string lines = read_file(replies, 1 << 20);
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 5);

  std::string text = read_file(squad / "en.json", 1 << 20);
  const std::string question = "Who founded the Yunling tea garden?";
  std::string longer = question;
  while (longer.size() < 100'000) longer += " word" + std::to_string(longer.size());
  text.replace(text.find(question), question.size(), longer);
  write_file_atomically(notes.folder() / "long.json", text);
  const SubprocessResult refused =
      notes.run({"eval", "qa", "--data", (notes.folder() / "long.json").string()});
  CHECK(refused.exit_code == 2);
  CHECK(is_one_error(refused.err));
  CHECK_THAT(refused.err, Catch::Contains("long.json: question tea-founder: "));
}

TEST_CASE("eval search finds more with keywords in the documents' language") {
  if (!RealModel().is_there()) LECTERN_SKIP("no weights: lectern pull");
  const Notes notes;
  const fs::path squad = fs::path(LECTERN_SOURCE_DIR) / "examples" / "squad";
  const auto recall = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"eval",        "search",
                                          "--data",      (squad / "en.json").string(),
                                          "--documents", (squad / "zh.json").string(),
                                          "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const SubprocessResult result = notes.run(arguments);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return parse_json(result.out, "scores")["recall@8"].get<double>();
  };
  CHECK(recall({"--keywords"}) > recall({}));
}

TEST_CASE("eval needle finds a pass key in a short text with either kind of KV cache") {
  if (!RealModel().is_there()) LECTERN_SKIP("no weights: lectern pull");
  const Notes notes;
  for (const std::string kv : {"f16", "int8"}) {
    const SubprocessResult result = notes.run(
        {"eval", "needle", "--tokens", "400", "--depths", "3", "--level", "whole", "--kv", kv, "--json"});
    REQUIRE(result.exit_code == 0);
    const Json scores = World::json(result);
    INFO(result.out);
    CHECK(scores["schema"] == "lectern.eval.needle/1");
    CHECK(scores["n"] == 3);
    CHECK(scores["rate"] == 1.0);
    REQUIRE(scores["by_depth"].size() == 3);
    CHECK(scores["by_depth"][1]["depth"] == 0.5);
    CHECK(scores["mean_prompt_tokens"].get<double>() <= 400);
    CHECK(scores["mean_prompt_tokens"].get<double>() >= 370);
  }
}

TEST_CASE("the examples of ask and chat in the help work when pasted") {
  if (!RealModel().is_there()) LECTERN_SKIP("no weights: lectern pull");
  const Notes notes;
  fs::copy(fs::path(LECTERN_SOURCE_DIR) / "examples", notes.documents(), fs::copy_options::recursive);
  for (const std::vector<std::string>& command : {std::vector<std::string>{"ask"},
                                                  {"chat"},
                                                  {"eval", "qa"},
                                                  {"eval", "search"},
                                                  {"eval", "perplexity"},
                                                  {"eval", "needle"},
                                                  {"eval", "ruler"}}) {
    for (const std::string& example : notes.examples(command)) {
      INFO(example);
      const SubprocessResult result =
          notes.run_shell("lectern() { \"$LECTERN\" \"$@\"; }; cd \"$DOCUMENTS\" && " + example);
      INFO(result.err);
      // The small model need not find the answer, and chat was asked nothing.
      CHECK((result.exit_code == 0 || result.exit_code == 1));
      CHECK_THAT(result.err, !Catch::Contains("error"));
    }
  }
}
