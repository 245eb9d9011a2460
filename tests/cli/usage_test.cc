// The program's manners: help, exit codes, where output goes.
#include "tests/cli/program.h"
#include "tests/support/catch.h"
#include "tests/support/terminal.h"

using namespace lectern;
using namespace lectern::test;

TEST_CASE("help and version go to stdout and end well") {
  const World world;
  const SubprocessResult help = world.run({"--help"});
  CHECK(help.exit_code == 0);
  CHECK_THAT(help.out, Catch::Contains("Exit codes"));
  CHECK(help.err.empty());
  CHECK_THAT(world.run({"--version"}).out, Catch::StartsWith("lectern "));
}

TEST_CASE("the word help is the option") {
  const World world;
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{}, {"ask"}, {"eval"}, {"eval", "needle"}}) {
    std::vector<std::string> by_word = words, by_option = words;
    by_word.insert(by_word.begin(), "help");
    by_option.emplace_back("--help");
    const SubprocessResult result = world.run(by_word);
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    CHECK(result.out == world.run(by_option).out);
  }
  const SubprocessResult wrong = world.run({"help", "serch"});
  CHECK(wrong.exit_code == 2);
  CHECK_THAT(wrong.err, Catch::Contains("no command serch; did you mean search?"));
}

TEST_CASE("every command has examples in its help") {
  const World world;
  for (const std::string command : {"ask", "chat", "search", "read", "index", "status", "rm", "models",
                                    "pull", "doctor", "mcp", "completion", "manual", "eval", "bench"}) {
    INFO(command);
    const std::vector<std::string> examples = world.examples({command});
    REQUIRE_FALSE(examples.empty());
    CHECK_THAT(examples[0], Catch::Contains("lectern " + command));
  }
}

TEST_CASE("an unknown command or option names the one that was meant") {
  const World world;
  struct Case {
    std::vector<std::string> arguments;
    std::string said;
  };
  for (const Case& c :
       {Case{{"serch", "notes", "words"}, "no command serch; did you mean search? (see lectern --help)"},
        Case{{"search", "notes", "words", "--limt", "3"},
             "no option --limt; did you mean --limit? (see lectern search --help)"},
        Case{{"index", "notes", "--jsno=1"}, "no option --jsno; did you mean --json?"},
        Case{{"search", "notes", "words", "-z"}, "no option -z (see"},
        Case{{"eval", "serch"}, "no command serch; did you mean search? (see lectern eval --help)"},
        Case{{"eval"}, "a command is missing: qa, "}, Case{{}, "a command is missing: ask, "},
        Case{{"frobnicate"}, "no command frobnicate (see"},
        Case{{"serch", "--help"}, "no command serch; did you mean search?"},
        Case{{"--help", "eval", "serch"}, "no command serch; did you mean search? (see lectern eval --help)"},
        Case{{"ask"}, "[FOLDER] QUESTION is required (see lectern ask --help)"},
        Case{{"search", "notes", "words", "-k", "0"}, "--limit: "},
        Case{{"pull", "qwen2.5-coder-0.5b-instrut"}, "did you mean qwen2.5-coder-0.5b-instruct?"}}) {
    const SubprocessResult result = world.run(c.arguments);
    CHECK(result.exit_code == 2);
    CHECK(is_one_error(result.err));
    CHECK_THAT(result.err, Catch::Contains(c.said));
  }
}

TEST_CASE("words that a shell has split and a folder alone are no question") {
  const World world;
  const std::string folder = world.write("a.md", "The albatross flew.\n").parent_path().string();
  struct Case {
    std::vector<std::string> arguments;
    std::string said;
  };
  for (const Case& c :
       {Case{{"ask", folder}, "the question is missing: only " + folder + " was named"},
        Case{{"ask", folder}, "lectern ask " + folder + " \"What is this about?\""},
        Case{{"ask", folder, "what", "is", "this?"},
             "put the question in quotes: lectern ask " + folder + " \"what is this?\""},
        Case{{"ask", "what", "is", "this?"}, "put the question in quotes: lectern ask \"what is this?\""},
        Case{{"search", folder, "two", "words"}, "lectern search " + folder + " \"two words\""},
        Case{{"read", folder, "a b.md", "7"}, "put the citation in quotes"},
        Case{{"ask", folder, std::string(5000, 'a'), "b"}, "lectern ask " + folder + " \"...\""},
        Case{{"read", "path:17"}, "lectern index FOLDER"}}) {
    const SubprocessResult result = world.run(c.arguments);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(is_one_error(result.err));
    CHECK_THAT(result.err, Catch::Contains(c.said));
  }
}

TEST_CASE("what is no number or out of range is refused with the option") {
  const World world;
  const std::string seeds = "is not a whole number from 0 to ";
  struct Case {
    std::vector<std::string> arguments;
    std::string said;
  };
  for (const Case& c :
       {Case{{"ask", "q", "--budget", "30"}, "--budget: '30' is not a budget: write 30s"},
        Case{{"ask", "q", "--budget", "0s"}, "--budget: '0s' is not a budget: it must be more than zero"},
        Case{{"eval", "needle", "--depth", "nan"}, "--depth: Value nan not in range [0 - 1]"},
        Case{{"eval", "needle", "--depth", "0.5,-nan"}, "--depth: "},
        Case{{"eval", "attention-recall", "--text", "x", "--bound", "nan"}, "--bound: "},
        Case{{"ask", "q", "--kept-gb", "nan"}, "--kept-gb: "},
        Case{{"serve", "--idle-minutes", "nan"}, "--idle"},
        Case{{"ask", "q", "--seed", "-1"}, "--seed: -1 " + seeds + "18446744073709551615"},
        Case{{"ask", "q", "--seed", "99999999999999999999"}, "--seed: 99999999999999999999 " + seeds},
        Case{{"eval", "needle", "--seed", "4294967296"}, seeds + "4294967295"},
        Case{{"eval", "search", "--data", "/dev/null", "--seed", "-1"}, "--seed: "}}) {
    const SubprocessResult result = world.run(c.arguments);
    CHECK(result.exit_code == 2);
    CHECK(is_one_error(result.err));
    CHECK_THAT(result.err, Catch::Contains(c.said));
  }
}

TEST_CASE("an option that would do nothing beside another is refused") {
  const World world;
  const std::string text = world.write("a.md", "The albatross flew.\n").string();
  const std::string data = world
                               .write("en.json", R"({"data": [{"title": "Birds", "paragraphs": [
      {"context": "The albatross flew.", "qas": [
      {"question": "What flew?", "answers": [{"text": "albatross"}]}]}]}]})")
                               .string();
  const auto check = [&](std::vector<std::string> command, const std::vector<std::string>& options,
                         const std::string& said) {
    command.insert(command.end(), options.begin(), options.end());
    const SubprocessResult result = world.run(command);
    CHECK(result.exit_code == 2);
    CHECK(is_one_error(result.err));
    CHECK_THAT(result.err, Catch::Contains(said));
  };
  const std::vector<std::string> recall = {"eval", "attention-recall", "--text", text};
  check(recall, {"--bound", "0.9"}, "--bound requires --refine");
  check(recall, {"--rounds", "3"}, "--rounds requires --refine");
  check(recall, {"--refine", text + ".json", "--thresholds", "0.1"}, "--thresholds");
  check(recall, {"--dense"}, "--dense reads nothing sparsely");
  const std::vector<std::string> whole = {"eval", "qa", "--data", data, "--level", "4"};
  check(whole, {"--passages", "1"}, "--passages and --helpers do nothing at --level 4");
  check(whole, {"--helpers", "always"}, "--passages and --helpers do nothing at --level 4");
}

TEST_CASE("on a terminal NO_COLOR turns emphasis off and elsewhere there is none") {
  if (!Terminal::available()) LECTERN_SKIP("no pseudo terminal can be opened here");
  const World world;
  world.write("a.md", "The albatross flew.\n");
  const std::vector<std::string> search = {LECTERN_PROGRAM, "search", world.documents().string(), "albatross",
                                           "-q"};
  {
    const ScopedVariable no_colour("NO_COLOR", "");  // the empty one does not count
    Terminal colourful(search);
    CHECK(colourful.wait_for_end() == 0);
    CHECK_THAT(colourful.shown(), Catch::Contains("\x1b[1m"));
  }
  {
    const ScopedVariable no_colour("NO_COLOR", "1");
    Terminal plain(search);
    CHECK(plain.wait_for_end() == 0);
    CHECK_THAT(plain.shown(), Catch::Contains("albatross") && !Catch::Contains("\x1b"));
  }
  world.write("b.md", "Another albatross.\n");
  const SubprocessResult piped = world.run({"search", world.documents().string(), "albatross", "--explain"});
  CHECK_THAT(piped.out + piped.err, Catch::Contains("albatross") && !Catch::Contains("\x1b"));
}

TEST_CASE("a reader that goes away ends search quietly") {
  const World world;
  for (int i = 0; i < 300; ++i)
    world.write("n" + std::to_string(i) + ".md", "The albatross " + std::string(400, 'x') + "\n");
  const SubprocessResult result = world.run_shell(
      "\"$LECTERN\" search \"$DOCUMENTS\" albatross -k 1000 -q | head -1; echo ${PIPESTATUS[0]}");
  CHECK(result.out.ends_with("\n0\n"));
  CHECK(result.err.empty());
}

TEST_CASE("wrong usage is one line and exit code 2") {
  const World world;
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {"bogus"},
                                                    {"models", "--bogus"},
                                                    {"pull", "--source", "ftp"},
                                                    {"pull", "a", "b"}}) {
    const SubprocessResult result = world.run(arguments);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(is_one_error(result.err));
  }
}

TEST_CASE("a model that does not exist is an error that says where to look") {
  const World world;
  const SubprocessResult result = world.run({"pull", "gpt-5"});
  CHECK(result.exit_code == 2);
  CHECK(is_one_error(result.err));
  CHECK_THAT(result.err, Catch::Contains("lectern models"));
}

TEST_CASE("models are listed without the network and nothing is installed in a new home") {
  const World world;
  const SubprocessResult result = world.run({"models", "--json"});
  CHECK(result.exit_code == 0);
  const Json json = World::json(result);
  CHECK(json["schema"] == "lectern.models/1");
  CHECK(json["models"].size() > 10);
  for (const Json& model : json["models"]) CHECK(model["installed"] == false);
  CHECK(world.run({"models", "--installed"}).exit_code == 1);
  CHECK(world.run({"pull", "--offline"}).exit_code == 2);
}

TEST_CASE("a full stdout is an error and a closed one a quiet end") {
  const World world;
  const SubprocessResult full = world.run_shell("\"$LECTERN\" models > /dev/full");
  CHECK(full.exit_code == 2);
  CHECK(is_one_error(full.err));
  const SubprocessResult closed =
      world.run_shell("\"$LECTERN\" completion bash | true; echo ${PIPESTATUS[0]}");
  CHECK(closed.out == "0\n");
  CHECK(closed.err.empty());
}

TEST_CASE("the completion scripts are good shell") {
  const World world;
  for (const std::string shell : {"bash", "zsh"})
    CHECK(world.run_shell("\"$LECTERN\" completion " + shell + " | bash -n").exit_code == 0);
  const SubprocessResult words = world.run_shell(
      "source <(\"$LECTERN\" completion bash); COMP_WORDS=(lectern pull --so); COMP_CWORD=2; _lectern_words; "
      "echo \"${COMPREPLY[*]}\"");
  CHECK(words.out == "--source\n");
  CHECK_THAT(world.run({"completion", "fish"}).out, Catch::Contains("complete -c lectern"));
}

TEST_CASE("a bad settings file is one error that names it") {
  const World world;
  std::filesystem::create_directories(world.folder() / "config" / "lectern");
  write_file_atomically(world.folder() / "config" / "lectern" / "config.json", "{\"threads\": \"x\"}");
  const SubprocessResult result = world.run({"models"});
  CHECK(result.exit_code == 2);
  CHECK(is_one_error(result.err));
  CHECK_THAT(result.err, Catch::Contains("config.json"));
}
