// The program's manners: help, exit codes, where output goes.
#include "tests/cli/program.h"
#include "tests/support/catch.h"

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

TEST_CASE("every command has examples in its help") {
  const World world;
  for (const std::string command :
       {"ask", "chat", "search", "read", "index", "status", "rm", "models", "pull", "doctor", "completion"}) {
    INFO(command);
    const SubprocessResult help = world.run({command, "--help"});
    CHECK(help.exit_code == 0);
    CHECK_THAT(help.out, Catch::Contains("Examples:\n  ") && Catch::Contains("lectern " + command));
  }
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
      "source <(\"$LECTERN\" completion bash); COMP_WORDS=(lectern pull --so); COMP_CWORD=2; _lectern; "
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
