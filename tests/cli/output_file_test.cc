// Files that commands write beside their result: never over what they read, and never lost in silence.
#include <sys/stat.h>

#include "tests/cli/program.h"
#include "tests/support/api_server.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::test;
namespace fs = std::filesystem;

namespace {

constexpr const char* kQuestions =
    R"([{"question": "When was the lighthouse built?", "answers": ["1850"], "files": ["good.md"]}])";
constexpr const char* kCorpus = R"([{"title": "Lighthouse", "text": "The lighthouse was built in 1850."}])";
constexpr const char* kHops =
    R"([{"question": "When was the lighthouse built?", "answer": "1850", "supporting_titles": ["Lighthouse"]}])";
constexpr const char* kSquad = R"({"data": [{"title": "A", "paragraphs": [{"context": "Built in 1850.",
    "qas": [{"id": "1", "question": "When?", "answers": [{"text": "1850"}]}]}]}]})";

struct Files : World {
  std::string document = write("good.md", "# Good\n\nThe lighthouse was built in 1850.\n").string();
  std::string questions = file("questions.json", kQuestions);
  std::string corpus = file("corpus.json", kCorpus);
  std::string hops = file("hops.json", kHops);
  std::string squad = file("squad.json", kSquad);

  ApiServer server{[](const ApiRequest& request, const ApiConnection& connection) {
    if (request.path == "/v1/models")
      return connection.reply(200, R"({"data": [{"id": "tiny-1b", "context_length": 4096}]})");
    if (request.path != "/v1/chat/completions") return connection.reply(404, "{}");
    connection.stream("The lighthouse was built in 1850 [1].");
  }};

  std::string file(const std::string& name, const std::string& content) const {
    write_file_atomically(folder() / name, content);
    return (folder() / name).string();
  }
  std::vector<std::string> eval_folder(const std::string& replies) const {
    return {"eval", "folder", documents().string(), "--questions", questions, "--level",
            "1",    "--llm",  server.url(),         "--replies",   replies,   "-q"};
  }
  void check_refused(const std::vector<std::string>& arguments, const std::string& option,
                     const std::string& words) const {
    const SubprocessResult result = run(arguments);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(is_one_error(result.err));
    CHECK_THAT(result.err, Catch::Contains(option) && Catch::Contains(words));
  }
};

}  // namespace

TEST_CASE("what a command reads is not overwritten by what it writes") {
  const Files files;
  const auto check = [&](std::vector<std::string> arguments, const std::string& option,
                         const std::string& output, const std::string& said) {
    arguments.insert(arguments.end(), {option, output});
    const std::string before = fs::exists(output) ? read_file(output, 1 << 20) : "";
    files.check_refused(arguments, option + " " + output, said);
    CHECK((fs::exists(output) ? read_file(output, 1 << 20) : "") == before);
  };
  const std::vector<std::string> folder = {"eval", "folder", files.documents().string(), "--questions",
                                           files.questions};
  SECTION("the questions of a folder, also by another name") {
    check(folder, "--replies", files.questions, "--questions");
    fs::create_symlink(files.questions, files.folder() / "link");
    check(folder, "--replies", (files.folder() / "link").string(), "--questions");
    fs::create_hard_link(files.questions, files.folder() / "hard");
    check(folder, "--replies", (files.folder() / "hard").string(), "--questions");
  }
  SECTION("a document, or a new file among the documents") {
    check(folder, "--replies", files.document, "FOLDER");
    check(folder, "--replies", (files.documents() / "deep" / ".." / "new.md").string(), "FOLDER");
    fs::create_symlink(files.documents() / "new.md", files.folder() / "dangling");
    check(folder, "--replies", (files.folder() / "dangling").string(), "FOLDER");
    CHECK(std::distance(fs::directory_iterator(files.documents()), {}) == 1);
    fs::create_symlink(files.file("far.md", "A document.\n"), files.documents() / "far.md");
    check(folder, "--replies", (files.documents() / "far.md").string(), "FOLDER");
  }
  SECTION("corpus and questions of several hops") {
    const std::vector<std::string> hops = {"eval",       "multihop",    "--corpus",
                                           files.corpus, "--questions", files.hops};
    check(hops, "--replies", files.corpus, "--corpus");
    check(hops, "--replies", files.hops, "--questions");
  }
  SECTION("data in SQuAD format") {
    check({"eval", "qa", "--data", files.squad}, "--replies", files.squad, "--data");
    check({"eval", "rank", "--data", files.squad}, "--scores", files.squad, "--data");
    check({"eval", "ruler", "--data", files.squad}, "--replies", files.squad, "--data");
    check({"eval", "ruler", "--data", files.squad}, "--svg", files.squad, "--data");
  }
  SECTION("the model") {
    const std::string model = files.file("model.gguf", "GGUF");
    check({"eval", "needle", "--model", model}, "--svg", model, "--model");
    check({"eval", "attention-recall", "--text", files.document, "--model", model}, "--refine",
          files.document, "--text");
  }
  SECTION("what it writes elsewhere") {
    const std::string both = files.file("both", "");
    check({"eval", "ruler", "--replies", both}, "--svg", both, "--replies");
  }
}

TEST_CASE("refined budgets replace nothing of the model, and nothing before they are measured") {
  const Files files;
  const fs::path model = files.folder() / "model";
  fs::copy(fs::path(LECTERN_SOURCE_DIR) / "tests" / "golden" / "qwen2_tied" / "folder", model,
           fs::copy_options::recursive);
  const std::string text = files.file("text.txt", std::string(300, 'a')),
                    mine = files.file("mine.json", "{}");
  const auto refine = [&](const std::string& output, const std::string& tokens) {
    return std::vector<std::string>{"eval",    "attention-recall", "--text",   text,       "--tokens",
                                    tokens,    "--above",          "10",       "--rounds", "1",
                                    "--model", model.string(),     "--refine", output};
  };
  for (const char* name : {"config.json", "tokenizer.json", "model-00001-of-00002.safetensors"}) {
    const std::string path = (model / name).string(), before = read_file(path, 1 << 20);
    files.check_refused(refine(path, "100"), "--refine", "is the file that --model names");
    CHECK(read_file(path, 1 << 20) == before);
  }
  files.check_refused(refine(mine, "5000"), text, "fewer than the 5000");
  CHECK(read_file(mine, 100) == "{}");
  files.check_refused(refine((files.folder() / "nowhere" / "a.json").string(), "100"), "--refine",
                      "there is no folder");
  for (const std::string& path : {mine, (model / "sparse_attention_config.json").string()}) {
    CHECK(files.run(refine(path, "100")).exit_code == 0);
    CHECK_THAT(read_file(path, 1 << 20), Catch::Contains("vertical_and_slash"));
  }
}

TEST_CASE("only regular files are written") {
  const Files files;
  const std::string pipe = (files.folder() / "pipe").string();
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  fs::create_symlink("/dev/full", files.folder() / "full");
  fs::create_symlink("circle", files.folder() / "circle");
  for (const std::string& path : {pipe, std::string("/dev/full"), (files.folder() / "full").string(),
                                  (files.folder() / "circle").string(), files.folder().string()}) {
    files.check_refused(files.eval_folder(path), "--replies " + path, "");
    files.check_refused({"eval", "needle", "--svg", path}, path, "");
  }
  CHECK(fs::is_fifo(pipe));
  CHECK(fs::is_symlink(files.folder() / "full"));
  CHECK(fs::is_character_file("/dev/full"));
}

TEST_CASE("a picture is drawn into the file that a link leads to") {
  const Files files;
  const std::string picture = files.file("picture.svg", "old");
  fs::create_symlink("picture.svg", files.folder() / "link.svg");
  // The picture is first drawn without results, before a model is looked for.
  CHECK(files.run({"eval", "needle", "--svg", (files.folder() / "link.svg").string()}).exit_code == 2);
  CHECK(fs::is_symlink(files.folder() / "link.svg"));
  CHECK_THAT(read_file(picture, 1 << 20), Catch::Contains("<svg"));
}

TEST_CASE("replies are written anew and what cannot be written is an error") {
  const Files files;
  const std::string replies = files.file("replies.jsonl", std::string(5000, 'x') + "\n");
  const SubprocessResult good = files.run(files.eval_folder(replies));
  INFO(good.err);
  REQUIRE(good.exit_code == 0);
  const std::string written = read_file(replies, 1 << 20);
  CHECK(std::count(written.begin(), written.end(), '\n') == 1);
  CHECK(parse_json(written, "replies")["contains"] == true);

  std::string command = "ulimit -f 0; \"$LECTERN\"";
  for (const std::string& argument : files.eval_folder((files.folder() / "new").string()))
    command += " '" + argument + "'";
  const SubprocessResult full = files.run_shell(command);
  CHECK(full.exit_code == 2);
  CHECK(is_one_error(full.err));
  CHECK_THAT(full.err, Catch::Contains("--replies") && Catch::Contains("File too large"));
}
