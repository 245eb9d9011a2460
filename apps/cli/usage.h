// What a person is told about wrong usage, and how help is laid out.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lectern::cli {

// One sentence about why the command line could not be understood: the command or option that does not exist
// with the one that was probably meant, or what `error` says; it ends by naming the help to read.
std::string explain_usage(const CLI::App& program, const CLI::ParseError& error,
                          std::span<const char* const> arguments);

// Whether a word stands where a command is named and is none: its help cannot be asked for.
bool names_unknown_command(const CLI::App& program, std::span<const char* const> arguments);

// "lectern help COMMAND" as "lectern COMMAND --help"; without --help for a COMMAND that does not exist, so
// that it is wrong usage. `words` begin with the program's name.
std::vector<const char*> with_help_as_option(const CLI::App& program, std::vector<const char*> words);

// The help of a command: arguments in the words of their option_text.
std::shared_ptr<CLI::Formatter> help_formatter();

}  // namespace lectern::cli
