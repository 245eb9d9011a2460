// lectern manual: the manual page, made from the commands and options themselves so that it cannot drift.
#include <string>
#include <string_view>

#include "apps/cli/command.h"

namespace lectern::cli {
namespace {

// Text that roff prints as it is: no escapes, no request at the beginning of a line, real hyphens.
std::string plain(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_begins = c == '\n';
  }
  return out;
}

std::string bold(std::string_view text) {
  return "\\fB" + plain(text) + "\\fR";
}

std::string italic(std::string_view text) {
  return "\\fI" + plain(text) + "\\fR";
}

// "--limit INT [10]", as in the help text.
std::string option_term(const CLI::Option& option) {
  if (option.get_positional()) {
    const std::string& words = option.get_option_text();
    return italic(words.empty() ? option.get_name(true) : words);
  }
  std::string term;
  for (const std::string& name : option.get_snames()) term += (term.empty() ? "" : ", ") + bold("-" + name);
  for (const std::string& name : option.get_lnames()) term += (term.empty() ? "" : ", ") + bold("--" + name);
  if (!option.get_type_name().empty()) term += " " + italic(option.get_type_name());
  if (!option.get_default_str().empty()) term += plain(" [" + option.get_default_str() + "]");
  return term;
}

void add_options(const CLI::App& app, std::string& page) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty() || option == app.get_help_ptr()) continue;
    page += ".TP\n" + option_term(*option) + "\n" + plain(option->get_description()) + "\n";
  }
}

// The footer of a command: its examples.
void add_footer(const CLI::App& app, std::string& page) {
  if (app.get_footer().empty()) return;
  page += ".PP\n.nf\n" + plain(app.get_footer()) + (app.get_footer().back() == '\n' ? "" : "\n") + ".fi\n";
}

void add_command_section(const CLI::App& app, const std::string& path, std::string& page) {
  page += ".SS " + plain(path) + "\n" + plain(app.get_description()) + ".\n";
  add_options(app, page);
  add_footer(app, page);
  for (const CLI::App* command : app.get_subcommands({}))
    if (!command->get_group().empty()) add_command_section(*command, path + " " + command->get_name(), page);
}

std::string manual_page(const CLI::App& program, const std::string& version) {
  std::string page = ".TH LECTERN 1 \"\" \"Lectern " + version + "\" \"User Commands\"\n";
  page += ".SH NAME\nlectern \\- ask documents, with citations, by a small local model\n";
  page += ".SH SYNOPSIS\n" + bold("lectern") + " " + italic("COMMAND") + " [" + italic("OPTIONS") + "] ...\n";
  page += ".SH DESCRIPTION\n" + plain(program.get_description()) + "\n";
  page +=
      "Lectern indexes folders of notes, papers and source code, finds the passages that matter for a "
      "question, "
      "and lets a model of the Qwen2 family answer from them. Every citation holds a quote that stands in "
      "the "
      "document, word for word. After " +
      bold("lectern pull") + " has fetched a model, nothing needs a network.\n";
  page += ".SH COMMANDS\n";
  for (const CLI::App* command : program.get_subcommands({}))
    if (!command->get_group().empty()) add_command_section(*command, command->get_name(), page);
  page += ".SH EXIT STATUS\n";
  for (const auto& [code, meaning] :
       {std::pair{"0", "Found, or done."}, std::pair{"1", "Nothing found."},
        std::pair{"2", "Wrong usage, or failure; one line on standard error says why."},
        std::pair{"130", "Interrupted; what was done until then is kept."}})
    page += std::string(".TP\n.B ") + code + "\n" + meaning + "\n";
  page += ".SH ENVIRONMENT\n";
  for (const auto& [name, meaning] :
       {std::pair{"LECTERN_MODEL", "The model that answers, in place of \\-\\-model."},
        std::pair{"LECTERN_DEVICE, LECTERN_THREADS, LECTERN_KV, LECTERN_LLM, LECTERN_LLM_MODEL, "
                  "LECTERN_LLM_CONTEXT, LECTERN_COLLECTION",
                  "In place of the options of these names."},
        std::pair{"LECTERN_LLM_API_KEY, OPENAI_API_KEY", "The key for the server that \\-\\-llm names."},
        std::pair{"NO_COLOR", "No emphasis."}})
    page += std::string(".TP\n.B ") + name + "\n" + meaning + "\n";
  page += ".SH FILES\n";
  for (const auto& [path, meaning] : {std::pair{"~/.cache/lectern/models", "Models that were pulled."},
                                      std::pair{"~/.local/share/lectern", "Indexes, one database a folder."},
                                      std::pair{"~/.config/lectern/config.json", "Settings."},
                                      std::pair{".lectern.json", "Settings of a project, in its folder."}})
    page += std::string(".TP\n.I ") + path + "\n" + meaning + "\n";
  return page;
}

}  // namespace

void register_manual(CLI::App& app, Program& program) {
  CLI::App* command = add_command(app, "manual", "Print the manual page", "  lectern manual | man -l -\n");
  program.on_run(command, [&app, &program] {
    program.output().print(manual_page(app, LECTERN_VERSION));
    return kExitFound;
  });
}

}  // namespace lectern::cli
