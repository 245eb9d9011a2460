// Level 4 from the outside, with a tiny model: documents read whole, kept for the next question, and refused
// before any work where they do not fit.
#include <algorithm>

#include "tests/cli/program.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::test;
namespace fs = std::filesystem;

namespace {

// A sentence for every `i`, about as many tokens as bytes for the tiny model.
std::string story(int n_sentences, const std::string& who = "Ada Quill") {
  std::string text = "# The mills\n\n";
  for (int i = 0; i < n_sentences; ++i)
    text += who + " built mill " + std::to_string(i) + " in " + std::to_string(1800 + i) + ".\n\n";
  return text;
}

struct Mills : World {
  explicit Mills(int context = 100'000) {
    fs::copy(fs::path(LECTERN_SOURCE_DIR) / "tests" / "golden" / "qwen2_tied" / "folder", model(),
             fs::copy_options::recursive);
    set("max_position_embeddings", context);
    write("mills.md", story(60));
  }
  fs::path model() const { return folder() / "model"; }
  fs::path kept() const { return folder() / "cache" / "lectern" / "kept"; }

  void set(const std::string& field, const Json& value) const {
    Json config = parse_json(read_file(model() / "config.json", 1 << 20), "config.json");
    config[field] = value;
    write_file_atomically(model() / "config.json", dump_json(config));
  }
  std::vector<std::string> command(const std::string& question, std::vector<std::string> more = {}) const {
    std::vector<std::string> all = {"ask",     documents().string(), question,       "--level", "4", "--json",
                                    "--model", model().string(),     "--max-tokens", "8"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Json ask(const std::string& question, std::vector<std::string> more = {}) const {
    const SubprocessResult result = run(command(question, std::move(more)));
    INFO(result.err);
    // The tiny model says nothing of sense.
    REQUIRE((result.exit_code == 0 || result.exit_code == 1));
    return json(result);
  }
  // What is said where nothing can be done.
  std::string refusal(std::vector<std::string> more = {}) const {
    more.emplace_back("-q");
    const SubprocessResult result = run(command("When was mill 3 built?", std::move(more)));
    CHECK(result.exit_code == 2);
    CHECK(is_one_error(result.err));
    CHECK(json(result)["schema"] == "lectern.error/1");
    CHECK_FALSE(fs::exists(kept()));
    return result.err;
  }
  int64_t n_kept() const { return json(run({"status", "--json"}))["kept"]["texts"].get<int64_t>(); }
};

// Tokens that were read for an answer.
int64_t n_read(const Json& answer) {
  return answer["prompt_tokens"].get<int64_t>() - answer["cached_prompt_tokens"].get<int64_t>();
}

}  // namespace

TEST_CASE("where nothing can be kept a document is read whole all the same") {
  const Mills mills;
  fs::create_directories(mills.kept().parent_path());
  write_file_atomically(mills.kept(), "no folder");
  const SubprocessResult result = mills.run(mills.command("When was mill 3 built?"));
  CHECK((result.exit_code == 0 || result.exit_code == 1));
  CHECK_THAT(result.err, Catch::Contains("kept: cannot be made a folder") &&
                             Catch::Contains("is not kept for the next question"));
  CHECK(World::json(result)["level"] == "4");
  CHECK(read_file(mills.kept(), 100) == "no folder");
}

TEST_CASE("a document that was read whole is asked again without reading it") {
  const Mills mills;
  const Json first = mills.ask("When was mill 3 built?");
  CHECK(first["level"] == "4");
  CHECK(first["chunks_read"] == first["chunks_in_scope"]);
  CHECK(n_read(first) > 1500);
  CHECK(first["plan"]["kept"] == false);
  CHECK(first["plan"]["text_tokens"].get<int64_t>() > 1500);
  CHECK(first["plan"]["context_tokens"] == 32'768);
  CHECK(first["plan"]["kv"] == "f16");
  CHECK(first["plan"]["sparse"] == false);
  CHECK(mills.n_kept() == 1);

  const Json again = mills.ask("Who built the last of the mills?");
  CHECK(again["plan"]["kept"] == true);
  CHECK(n_read(again) < 300);  // the question
  CHECK(again["plan"]["seconds"].is_number());
  CHECK(mills.n_kept() == 1);
  // The very same question gets the very same answer.
  CHECK(mills.ask("When was mill 3 built?")["answer"] == first["answer"]);
  const SubprocessResult people = mills.run({"doctor"});
  CHECK_THAT(people.out, Catch::Contains("kept texts") && Catch::Contains("1 text, "));

  SECTION("an edited document is read again") {
    mills.write("mills.md", story(60, "Ida Quell"));
    const Json edited = mills.ask("When was mill 3 built?");
    CHECK(edited["plan"]["kept"] == false);
    CHECK(n_read(edited) > 1500);
    CHECK(mills.n_kept() == 2);
  }
  SECTION("in another form it is read again and both are kept") {
    const Json bytes = mills.ask("When was mill 3 built?", {"--kv", "int8"});
    CHECK(bytes["plan"]["kv"] == "int8");
    CHECK(n_read(bytes) > 1500);
    CHECK(mills.n_kept() == 2);
  }
  SECTION("what is kept can be deleted") {
    CHECK_THAT(mills.run({"rm", mills.documents().string(), "--dry-run"}).err, Catch::Contains("rm --kept"));
    CHECK(World::json(mills.run({"rm", "--kept", "--dry-run", "--json"}))["texts"] == 1);
    CHECK(mills.n_kept() == 1);
    CHECK(mills.run({"rm", "--kept"}).exit_code == 0);
    CHECK(mills.n_kept() == 0);
    CHECK_THAT(mills.run({"rm", mills.documents().string()}).err, !Catch::Contains("rm --kept"));
    CHECK(n_read(mills.ask("When was mill 3 built?")) > 1500);
  }
}

TEST_CASE("a damaged snapshot is one warning and the document is read again") {
  const Mills mills;
  const Json first = mills.ask("When was mill 3 built?");
  const fs::path file = fs::directory_iterator(mills.kept())->path();
  std::string content = read_file(file, 1 << 24);
  SECTION("a bit") {
    content[content.size() / 2] ^= 1;
  }
  SECTION("cut off") {
    content.resize(content.size() / 3);
  }
  SECTION("another file") {
    content = "no snapshot at all";
  }
  write_file_atomically(file, content);
  const SubprocessResult result = mills.run(mills.command("When was mill 3 built?", {"-q"}));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK_THAT(result.err, Catch::Contains("lectern: warning: ") && Catch::Contains("it was read again") &&
                             Catch::Contains(file.filename().string()));
  const Json answer = World::json(result);
  CHECK(answer["answer"] == first["answer"]);
  CHECK(n_read(answer) > 1500);
  CHECK(n_read(mills.ask("When was mill 3 built?")) < 300);
}

TEST_CASE("what is kept is bounded and can be nothing") {
  const Mills mills;
  CHECK(n_read(mills.ask("When was mill 3 built?", {"--kept-gb", "0"})) > 1500);
  CHECK_FALSE(fs::exists(mills.kept()));
  const SubprocessResult result =
      mills.run(mills.command("When was mill 3 built?", {"--kept-gb", "0.0001", "-q"}));
  CHECK_THAT(result.err, Catch::Contains("this text cannot be kept") && Catch::Contains("100.0 kB"));
  CHECK(mills.n_kept() == 0);
}

TEST_CASE("a conversation reads a document once") {
  const Mills mills;
  write_file_atomically(mills.folder() / "questions.txt", "When was mill 3 built?\nWho built mill 5?\n");
  const SubprocessResult result = mills.run_shell(
      "\"$LECTERN\" chat \"$DOCUMENTS\" --level 4 --kept-gb 0 --max-tokens 8 --json -q --model "
      "\"$DOCUMENTS/../model\" < \"$DOCUMENTS/../questions.txt\"");
  INFO(result.err);
  const size_t end = result.out.find('\n');
  REQUIRE(end != std::string::npos);
  const Json first = parse_json(result.out.substr(0, end), "first");
  const Json second = parse_json(result.out.substr(end + 1), "second");
  const auto text = first["plan"]["text_tokens"].get<int64_t>();
  CHECK(n_read(first) > text);
  CHECK(n_read(second) < text);  // the follow-up is understood first, beside the text
  CHECK(second["cached_prompt_tokens"].get<int64_t>() > text);
}

TEST_CASE("a measurement of level 4 reads the documents once and keeps nothing") {
  const Mills mills;
  const fs::path questions = mills.folder() / "questions.json", replies = mills.folder() / "replies.jsonl";
  write_file_atomically(questions, R"([{"question": "When was mill 3 built?", "answers": ["1803"],
                                        "files": ["mills.md"]},
                                       {"question": "Who built the last of the mills?",
                                        "answers": ["Ada Quill"], "files": ["mills.md"]}])");
  const std::vector<std::string> command = {
      "eval", "folder",  mills.documents().string(), "--questions", questions.string(), "--level",
      "4",    "--model", mills.model().string(),     "--replies",   replies.string()};
  const SubprocessResult result = mills.run(command);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.err, Catch::Contains("plan: ") && Catch::Contains(" tokens of text in a context of 32K"));
  const std::string lines = read_file(replies, 1 << 20);
  const auto n_read_for = [&](const std::string& line) {
    const Json reply = parse_json(line, "reply");
    CHECK(reply["level"] == "4");
    return n_read(reply["trace"]);
  };
  const size_t end = lines.find('\n');
  CHECK(n_read_for(lines.substr(0, end)) > 1500);
  CHECK(n_read_for(lines.substr(end + 1)) < 300);
  CHECK(mills.n_kept() == 0);

  std::vector<std::string> limited = command;
  limited.insert(limited.end(), {"--max-context", "2000"});
  const SubprocessResult refused = mills.run(limited);
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Catch::Contains("more than the context may have, 2,000"));

  // Of several documents only what the questions name has to fit.
  mills.write("bells.md", "# The bells\n\nIda Quell cast bell 3 in 1903.\n");
  write_file_atomically(
      questions, R"([{"question": "Summarise bells.md", "answers": ["bell"], "files": ["bells.md"]}])");
  const SubprocessResult named = mills.run(limited);
  INFO(named.err);
  CHECK(named.exit_code == 0);
  CHECK_THAT(named.err, Catch::Contains("in a context of 2000"));
}

TEST_CASE("a document longer than model or limit is refused before work starts with what would fit") {
  SECTION("the model's context") {
    const Mills mills(4096);
    mills.write("mills.md", story(200));
    const std::string error = mills.refusal();
    CHECK_THAT(error, Catch::Contains("more than the model's context of 4,096") &&
                          Catch::Contains("would fit") && Catch::Contains("--level auto, which") &&
                          Catch::Contains("--extend dca, with which the model reads up to 131072 tokens"));
    CHECK(mills.ask("When was mill 3 built?", {"--extend", "dca"})["plan"]["context_tokens"] == 32'768);
  }
  SECTION("a limit") {
    const Mills mills;
    CHECK_THAT(mills.refusal({"--max-context", "2000"}),
               Catch::Contains("more than the context may have, 2,000") &&
                   Catch::Contains("raise --max-context") && !Catch::Contains("dca"));
    const ScopedVariable variable("LECTERN_MAX_CONTEXT", "2000");
    CHECK_THAT(mills.refusal(), Catch::Contains("more than the context may have, 2,000"));
    // A flag wins.
    CHECK(mills.ask("When was mill 3 built?", {"--max-context", "20000"})["plan"]["context_tokens"] ==
          20'000);
  }
  SECTION("1.2 million tokens") {
    const Mills mills(1'010'000);
    mills.write("long.md", story(45'000));
    const std::string error = mills.refusal();
    CHECK_THAT(error, Catch::Contains("the text is 1,") &&
                          Catch::Contains("the model's context of 1,010,000") &&
                          Catch::Contains("would fit"));
    // The rest of the folder can be asked as ever.
    CHECK(mills.run({"search", mills.documents().string(), "mill", "-q"}).exit_code == 0);
  }
}

TEST_CASE("limits that make no sense are one error each") {
  const Mills mills;
  for (const auto& [key, value] : {std::pair<std::string, std::string>{"LECTERN_MAX_CONTEXT", "many"},
                                   {"LECTERN_MAX_CONTEXT", "7"},
                                   {"LECTERN_KEPT_GB", "-1"},
                                   {"LECTERN_KEPT_GB", "4GB"}}) {
    INFO(key << "=" << value);
    const ScopedVariable variable(key.c_str(), value);
    const SubprocessResult result = mills.run(mills.command("When was mill 3 built?"));
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Catch::Contains(key + "=" + value));
  }
  for (const std::string key : {"kept_gb", "max_context"}) {
    INFO(key);
    fs::create_directories(mills.folder() / "config" / "lectern");
    write_file_atomically(mills.folder() / "config" / "lectern" / "config.json", "{\"" + key + "\": -3}");
    CHECK_THAT(mills.refusal(), Catch::Contains("config.json: ") && Catch::Contains(key));
  }
}

TEST_CASE("Dual Chunk Attention settings that contradict each other are one error that names the field") {
  const Mills mills;
  const auto with = [&](const Json& settings) {
    mills.set("dual_chunk_attention_config", settings);
    const std::string error = mills.refusal();
    CHECK_THAT(error, Catch::Contains("config.json: ") && Catch::Contains("dual_chunk_attention_config"));
    return error;
  };
  CHECK_THAT(with({{"chunk_size", 1024}, {"local_size", 2048}}), Catch::Contains("local_size is 2048"));
  CHECK_THAT(with({{"chunk_size", 1024}, {"local_size", 1024}}), Catch::Contains("multiple of 128"));
  CHECK_THAT(with({{"chunk_size", 1000}, {"local_size", 100}}), Catch::Contains("multiple of 128"));
  CHECK_THAT(with({{"chunk_size", 0}, {"local_size", 1}}), Catch::Contains("chunk_size is 0"));
  CHECK_THAT(with({{"chunk_size", -1024}, {"local_size", 128}}), Catch::Contains("chunk_size"));
  CHECK_THAT(with({{"chunk_size", 1e30}, {"local_size", 128}}), Catch::Contains("chunk_size"));
  CHECK_THAT(with({{"chunk_size", 1024}}), Catch::Contains("local_size"));
  CHECK_THAT(with({{"chunk_size", "big"}, {"local_size", 128}}), Catch::Contains("chunk_size"));
  CHECK_THAT(with(Json::array({1024, 128})), Catch::Contains("dual_chunk_attention_config"));
  CHECK_THAT(with({{"chunk_size", 1024}, {"local_size", 128}, {"original_max_position_embeddings", -1}}),
             Catch::Contains("original_max_position_embeddings"));
  mills.set("rope_scaling",
            {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 25'000}});
  CHECK_THAT(with({{"chunk_size", 1024}, {"local_size", 128}}), Catch::Contains("rope_scaling"));
}

TEST_CASE("a model for long texts reads a document in chunks and keeps it") {
  const Mills mills;
  mills.set("dual_chunk_attention_config",
            {{"chunk_size", 1024}, {"local_size", 128}, {"original_max_position_embeddings", 1024}});
  const Json first = mills.ask("When was mill 3 built?");
  const Json again = mills.ask("When was mill 3 built?");
  CHECK(n_read(first) > 1500);
  CHECK(n_read(again) < 300);
  CHECK(again["answer"] == first["answer"]);
}
