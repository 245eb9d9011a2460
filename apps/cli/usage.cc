#include "apps/cli/usage.h"

#include <string_view>

#include "base/nearest.h"

namespace lectern::cli {
namespace {

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_usage(const CLI::Option* option) const override {
    return option->get_option_text().empty() ? CLI::Formatter::make_option_usage(option)
                                             : option->get_option_text();
  }
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    return is_positional && !option->get_option_text().empty()
               ? ""
               : CLI::Formatter::make_option_name(option, is_positional);
  }
};

const CLI::App* find_command(const CLI::App& app, std::string_view name) {
  for (const CLI::App* command : app.get_subcommands({}))
    if (command->get_name() == name) return command;
  return nullptr;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::string or_meant(std::string_view word, const std::vector<std::string>& known) {
  const std::string meant = nearest(word, known);
  return meant.empty() ? "" : "; did you mean " + meant + "?";
}

bool is_option(std::string_view argument) {
  return argument.size() > 1 && argument[0] == '-' && !(argument[1] >= '0' && argument[1] <= '9');
}

// "lectern eval qa": how the chosen command is called.
std::string full_name(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : full_name(*app.get_parent()) + " " + app.get_name();
}

// A missing argument in the words of the help: "[FOLDER] QUESTION", not the name it has in the code.
std::string in_words(const CLI::App& app, std::string message) {
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional() && !option->get_option_text().empty() &&
        message.starts_with(option->get_name()))
      return option->get_option_text() + message.substr(option->get_name().size());
  return message;
}

}  // namespace

std::string explain_usage(const CLI::App& program, const CLI::ParseError& error,
                          std::span<const char* const> arguments) {
  const CLI::App* app = &program;
  const auto see_help = [&app] { return " (see " + full_name(*app) + " --help)"; };
  for (const std::string_view argument : arguments) {
    if (argument == "--") break;
    const std::vector<std::string> commands = command_names(*app);
    if (is_option(argument)) {
      const std::string name(argument.substr(0, argument.find('=')));
      const bool known = argument.starts_with("--")
                             ? app->get_option_no_throw(name) != nullptr
                             : app->get_option_no_throw(std::string(argument.substr(0, 2))) != nullptr;
      if (!known) return "there is no option " + name + or_meant(name, option_names(*app)) + see_help();
    } else if (!commands.empty()) {
      const CLI::App* command = find_command(*app, argument);
      if (command == nullptr)
        return "there is no command " + std::string(argument) + or_meant(argument, commands) + see_help();
      app = command;
    }
  }
  if (!command_names(*app).empty()) {
    std::string list;
    for (const std::string& name : command_names(*app)) list += (list.empty() ? "" : ", ") + name;
    return "a command is missing: " + list + see_help();
  }
  return in_words(*app, error.what()) + see_help();
}

bool names_unknown_command(const CLI::App& program, std::span<const char* const> arguments) {
  const CLI::App* app = &program;
  for (const std::string_view argument : arguments) {
    if (argument == "--" || command_names(*app).empty()) break;
    if (is_option(argument)) continue;
    app = find_command(*app, argument);
    if (app == nullptr) return true;
  }
  return false;
}

std::vector<const char*> with_help_as_option(const CLI::App& program, std::vector<const char*> words) {
  if (words.size() < 2 || std::string_view(words[1]) != "help") return words;
  words.erase(words.begin() + 1);
  const CLI::App* app = &program;
  for (size_t i = 1; i < words.size() && !command_names(*app).empty(); ++i) {
    app = find_command(*app, words[i]);
    if (app == nullptr) return words;
  }
  words.push_back("--help");
  return words;
}

std::shared_ptr<CLI::Formatter> help_formatter() {
  return std::make_shared<HelpFormatter>();
}

}  // namespace lectern::cli
