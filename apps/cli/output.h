// What a command prints: results on stdout, everything else on stderr. Used from the main thread, except that
// progress() may be called from the thread that works.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "apps/common/printable.h"
#include "base/json.h"
#include "base/progress.h"

namespace lectern::cli {

enum ExitCode {
  kExitFound = 0,    // done, or something was found
  kExitNothing = 1,  // the search or question found nothing
  kExitFailure = 2,  // wrong usage, or it failed
  kExitInterrupted = 130,
};

// Whoever read our stdout has gone: the program ends quietly.
struct OutputClosed : std::runtime_error {
  OutputClosed() : std::runtime_error("stdout was closed") {}
};

class ProgressBar;

class Output {
 public:
  Output(bool json, bool quiet);
  ~Output();

  bool json() const { return json_; }
  bool stdout_is_terminal() const { return stdout_is_terminal_; }

  // Results. Throws OutputClosed when the reader has gone, Error(kIo) when stdout cannot be written.
  void print(std::string_view text);  // as it is, without a newline; flushed
  void print_line(std::string_view text);
  void print_json(const Json& value);  // one line
  // A measurement: with --json as print_json does, else a line for each field, and for each field or object
  // in one, numbers in four digits.
  void print_result(const Json& result);

  // For people, on stderr. Notes are left out by --quiet.
  void note(const std::string& line);
  void warning(const std::string& line);
  void log_line(const std::string& line);  // as it is, whatever the options
  // The command found nothing: a note for people and, with --json, the object that stands for the result.
  void nothing(const std::string& line);

  // Draws one line with a bar, speed and remaining time, on a terminal only; cleared by the next print or
  // note. Never empty: elsewhere it does nothing.
  ProgressFn progress();
  void end_progress();

  // Emphasis for people, where stdout is a terminal and NO_COLOR is unset; else the text as it is.
  std::string bold(const std::string& text) const;
  std::string dim(const std::string& text) const;

 private:
  void write_stderr(const std::string& line);
  void print_fields(const std::string& of, const Json& fields);

  bool json_, quiet_;
  bool stdout_is_terminal_, colour_;
  std::unique_ptr<ProgressBar> bar_;
};

// {"schema": "lectern.NAME/1"}: how every JSON result begins.
Json json_result(std::string_view name);

// What --json prints where there is no result: {"schema": "lectern.error/1", "error", "code", "exit_code"}.
Json error_json(std::string_view code, const std::string& message, int exit_code);

// Says on stderr in one line what failed ("lectern: error: ..."; of an interrupt "lectern: interrupted") and,
// with `json`, prints error_json() on stdout, so that whoever parses it always finds an object. Never throws.
void report_error(bool json, std::string_view code, const std::string& message, int exit_code);

std::string format_bytes(uint64_t bytes);                // "1.2 GB"
std::string format_seconds(double seconds);              // "0.8 s", "2:05 min"
std::string plural(int64_t n, const std::string& noun);  // "1 file", "2 files"

}  // namespace lectern::cli
