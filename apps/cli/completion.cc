// Shell completion, generated from the commands and options themselves so that it cannot drift.
#include <string>
#include <vector>

#include "apps/cli/command.h"

namespace lectern::cli {
namespace {

struct CommandWords {
  std::string path;  // "eval qa"; "" for the program itself
  std::vector<const CLI::App*> subcommands;
  std::vector<std::string> options;  // "--json"
};

void collect(const CLI::App* app, const std::string& path, std::vector<CommandWords>& out) {
  CommandWords words;
  words.path = path;
  for (const CLI::Option* option : app->get_options())
    for (const std::string& name : option->get_lnames()) words.options.push_back("--" + name);
  for (const CLI::App* sub : app->get_subcommands({})) {
    if (!sub->get_group().empty()) words.subcommands.push_back(sub);  // the others are hidden
  }
  out.push_back(words);
  for (const CLI::App* sub : words.subcommands)
    collect(sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), out);
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out.append(out.empty() ? "" : " ").append(word);
  return out;
}

// A function of bash that completes, for bash itself and for zsh's bashcompinit.
std::string bash_function(const std::vector<CommandWords>& commands) {
  std::string script =
      "_lectern_words() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} path='' word\n"
      "  for word in \"${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}\"; do\n"
      "    case \"$path $word\" in\n";
  for (const CommandWords& command : commands) {
    if (command.path.empty()) continue;
    const size_t space = command.path.rfind(' ');
    const std::string parent = space == std::string::npos ? "" : command.path.substr(0, space);
    const std::string name = space == std::string::npos ? command.path : command.path.substr(space + 1);
    script += "      '" + parent + " " + name + "') path='" + command.path + "' ;;\n";
  }
  script +=
      "    esac\n"
      "  done\n"
      "  case \"$path\" in\n";
  for (const CommandWords& command : commands) {
    std::vector<std::string> words = command.options;
    for (const CLI::App* sub : command.subcommands) words.push_back(sub->get_name());
    script += "    '" + command.path + "') COMPREPLY=($(compgen -W '" + join(words) + "' -- \"$cur\")) ;;\n";
  }
  script +=
      "  esac\n"
      "}\n";
  return script;
}

constexpr std::string_view kHow = "-o bashdefault -o default -F _lectern_words";

std::string bash_script(const std::vector<CommandWords>& commands) {
  return "# bash completion of lectern; load it with: source <(lectern completion bash)\n" +
         bash_function(commands) + "complete " + std::string(kHow) + " lectern\n";
}

// Sourced, it registers itself. Installed among zsh's functions as _lectern it is run by the first
// completion, which it must answer as well.
std::string zsh_script(const std::vector<CommandWords>& commands) {
  return "#compdef lectern\n"
         "# zsh completion of lectern; load it with: source <(lectern completion zsh)\n"
         "autoload -U +X bashcompinit && bashcompinit\n" +
         bash_function(commands) + "complete " + std::string(kHow) +
         " lectern\n"
         "[ \"${funcstack[1]}\" = _lectern ] && _bash_complete " +
         std::string(kHow) + "\n";
}

std::string fish_quote(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_script(const std::vector<CommandWords>& commands) {
  std::string script = "# fish completion of lectern; load it with: lectern completion fish | source\n";
  for (const CommandWords& command : commands) {
    // The condition under which a word fits: this command was given, and none of its sub-commands yet.
    std::string condition = command.path.empty() ? "__fish_use_subcommand" : "";
    for (size_t begin = 0; begin < command.path.size();) {
      size_t end = command.path.find(' ', begin);
      if (end == std::string::npos) end = command.path.size();
      condition += (condition.empty() ? "" : "; and ") + std::string("__fish_seen_subcommand_from ") +
                   command.path.substr(begin, end - begin);
      begin = end + 1;
    }
    for (const CLI::App* sub : command.subcommands) {
      script += "complete -c lectern -n " + fish_quote(condition) + " -f -a " + sub->get_name() + " -d " +
                fish_quote(sub->get_description()) + "\n";
    }
    for (const std::string& option : command.options)
      script += "complete -c lectern -n " + fish_quote(condition) + " -l " + option.substr(2) + "\n";
  }
  return script;
}

}  // namespace

void register_completion(CLI::App& app, Program& program) {
  CLI::App* command = add_command(app, "completion", "Print a completion script for your shell",
                                  "  source <(lectern completion bash)\n"
                                  "  lectern completion fish | source\n");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  program.on_run(command, [shell, &app, &program] {
    std::vector<CommandWords> commands;
    collect(&app, "", commands);
    program.output().print(*shell == "bash"  ? bash_script(commands)
                           : *shell == "zsh" ? zsh_script(commands)
                                             : fish_script(commands));
    return kExitFound;
  });
}

}  // namespace lectern::cli
