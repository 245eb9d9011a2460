// eval needle and eval ruler with a tiny random model: it finds nothing, but everything around it is as with
// a real one.
#include "tests/cli/program.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::test;
namespace fs = std::filesystem;

namespace {

// A copy of the tiny Hugging Face folder that says it was made for 4,096 tokens.
struct Texts : World {
  Texts() {
    fs::copy(fs::path(LECTERN_SOURCE_DIR) / "tests" / "golden" / "qwen2_tied" / "folder", model(),
             fs::copy_options::recursive);
    std::string config = read_file(model() / "config.json", 1 << 20);
    const std::string context = "\"max_position_embeddings\": 256";
    const size_t at = config.find(context);
    REQUIRE(at != std::string::npos);
    config.replace(at, context.size(), "\"max_position_embeddings\": 4096");
    write_file_atomically(model() / "config.json", config);
  }
  fs::path model() const { return folder() / "model"; }

  SubprocessResult eval(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "eval");
    arguments.insert(arguments.end(), {"--model", model().string(), "--threads", "1"});
    return run(arguments);
  }
};

// Three articles of sixty paragraphs with a question each.
fs::path squad(const World& world) {
  Json articles = Json::array();
  for (const std::string name : {"Ferry", "Mill", "Tower"}) {
    Json article = {{"title", name}, {"paragraphs", Json::array()}};
    for (int i = 0; i < 60; ++i) {
      const std::string id = name + " " + std::to_string(i), builder = "M" + std::to_string(i);
      const Json answer = {{"text", builder}};
      const Json question = {{"question", "Who built " + id + "?"}, {"answers", Json::array({answer})}};
      article["paragraphs"].push_back(
          {{"context", id + " was built by master " + builder + "."}, {"qas", Json::array({question})}});
    }
    articles.push_back(article);
  }
  return world.write("squad.json", dump_json({{"data", articles}}));
}

}  // namespace

TEST_CASE("eval needle measures several lengths and the depths that are named and draws them") {
  const Texts world;
  const std::string picture = (world.folder() / "map.svg").string();
  const SubprocessResult result = world.eval({"needle", "--extend", "dca", "--tokens", "5000,700", "--depth",
                                              "1,0.25", "--trials", "2", "--svg", picture, "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const Json scores = World::json(result);
  INFO(result.out);
  CHECK(scores["schema"] == "lectern.eval.needle/1");
  CHECK(scores["n"] == 8);
  CHECK(scores["tokens"] == 5000);
  CHECK(scores["extend"] == "dca");
  CHECK_FALSE(scores.contains("interrupted"));
  REQUIRE(scores["by_depth"].size() == 2);
  CHECK(scores["by_depth"][0]["depth"] == 0.25);
  REQUIRE(scores["by_length"].size() == 2);
  for (const Json& length : scores["by_length"]) {
    const auto n = length["tokens"].get<double>(), mean = length["mean_prompt_tokens"].get<double>();
    CHECK(mean <= n);
    CHECK(mean > n - 150);  // a token is a byte or two
    CHECK(length["n"] == 4);
    REQUIRE(length["by_depth"].size() == 2);
  }
  // What the longer text had up to the needle was not read again for the shorter one.
  CHECK(scores["by_length"][0]["by_depth"][1]["mean_read_tokens"].get<double>() < 400);
  CHECK(scores["by_length"][1]["by_depth"][1]["mean_read_tokens"].get<double>() > 4800);
  // Each result was told when it came.
  CHECK_THAT(result.err, Catch::Contains("5000 tokens, depth 100 %: ") &&
                             Catch::Contains("; 1 of 8, about") && Catch::Contains("; 8 of 8\n"));
  CHECK_THAT(read_file(picture, 1 << 20),
             Catch::StartsWith("<?xml") && Catch::EndsWith("</svg>\n") && Catch::Contains(">700</text>"));
}

TEST_CASE("eval needle that is interrupted prints what it has measured") {
  const Texts world;
  const SubprocessResult result = world.run_shell(
      "\"$LECTERN\" eval needle --tokens 4000 --depths 2 --trials 1000 --threads 1 --json "
      "--model " +
      world.model().string() +
      " 2> \"$DOCUMENTS.err\" & p=$!\n"
      "until grep -q ' of 2000' \"$DOCUMENTS.err\" 2> /dev/null; do kill -0 $p || exit 99; sleep 0.05; done\n"
      "kill -INT $p; wait $p");
  INFO(result.err);
  CHECK(result.exit_code == 130);
  const Json scores = World::json(result);
  INFO(result.out);
  CHECK(scores["interrupted"] == true);
  CHECK(scores["n"].get<int>() >= 1);
  CHECK(scores["n"].get<int>() < 2000);
}

TEST_CASE("eval ruler measures tasks by length") {
  const Texts world;
  const std::string data = squad(world).string();
  const std::string replies = (world.folder() / "replies.jsonl").string();
  const std::string picture = (world.folder() / "map.svg").string();
  const SubprocessResult result =
      world.eval({"ruler", "--tasks", "niah_multivalue,vt,qa", "--data", data, "--tokens", "1200,1000",
                  "--trials", "2", "--replies", replies, "--svg", picture, "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const Json scores = World::json(result);
  INFO(result.out);
  CHECK(scores["schema"] == "lectern.eval.ruler/1");
  CHECK(scores["n"] == 12);
  REQUIRE(scores["tasks"].size() == 3);
  CHECK(scores["tasks"][0]["task"] == "niah_multivalue");
  REQUIRE(scores["tasks"][0]["by_length"].size() == 2);
  const Json& shorter = scores["tasks"][0]["by_length"][0];
  CHECK(shorter["tokens"] == 1000);
  CHECK(shorter["n"] == 2);
  CHECK(shorter["mean_prompt_tokens"].get<double>() <= 1000);
  CHECK(shorter["mean_prompt_tokens"].get<double>() > 900);
  CHECK(scores["score"].get<double>() >= 0);
  CHECK(scores["score"].get<double>() <= 1);
  std::istringstream lines(read_file(replies, 1 << 20));
  size_t n = 0;
  for (std::string line; std::getline(lines, line); ++n) {
    const Json reply = parse_json(line, "replies");
    CHECK_FALSE(reply["answers"].empty());
    CHECK(reply["score"].is_number());
  }
  CHECK(n == 12);
  CHECK_THAT(read_file(picture, 1 << 20), Catch::Contains(">niah_multivalue</text>"));

  const SubprocessResult table =
      world.eval({"ruler", "--tasks", "niah_single_1", "--tokens", "1000", "--trials", "1"});
  CHECK(table.exit_code == 0);
  CHECK_THAT(table.out,
             Catch::Contains("tokens") && Catch::Contains("niah_single_1") && Catch::Contains("mean"));
}

TEST_CASE("long texts that cannot be measured are one error with the remedy") {
  const Texts world;
  struct Case {
    std::vector<std::string> arguments;
    std::string said;
  };
  for (const Case& c : {Case{{"needle", "--tokens", "5000"}, "give fewer, or --extend dca"},
                        Case{{"needle", "--depth", "1.5"}, "--depth"},
                        Case{{"needle", "--depth", "0.5", "--depths", "3"}, "--depth"},
                        Case{{"needle", "--tokens", "1000", "--svg", "/nowhere/map.svg"}, "/nowhere"},
                        Case{{"ruler", "--tasks", "qa"}, "give --data"},
                        Case{{"ruler", "--tasks", "vt", "--level", "2"}, "--level whole"},
                        Case{{"ruler", "--tasks", "niah"}, "niah"},
                        Case{{"ruler", "--tasks", "vt,cwe", "--tokens", "1000"}, "cwe needs "}}) {
    const SubprocessResult result = world.eval(c.arguments);
    INFO(c.said);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());  // nothing was asked before it was known
    CHECK(is_one_error(result.err));
    CHECK_THAT(result.err, Catch::Contains(c.said));
  }
}
