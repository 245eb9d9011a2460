#include "apps/cli/output.h"

#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "apps/cli/progress_bar.h"
#include "base/error.h"
#include "base/utf8.h"

namespace lectern::cli {
namespace {

bool dumb_terminal() {
  const char* terminal = std::getenv("TERM");
  return terminal == nullptr || std::string_view(terminal) == "dumb";
}

bool colours_wanted() {
  const char* no_colour = std::getenv("NO_COLOR");
  return (no_colour == nullptr || *no_colour == '\0') && !dumb_terminal();
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) throw OutputClosed();
    if (n < 0)
      throw Error(ErrorCode::kIo, std::string("cannot write to standard output: ") + std::strerror(errno));
    text.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

Output::Output(bool json, bool quiet)
    : json_(json),
      quiet_(quiet),
      stdout_is_terminal_(::isatty(STDOUT_FILENO) == 1),
      colour_(stdout_is_terminal_ && colours_wanted()) {
  if (!quiet && ::isatty(STDERR_FILENO) == 1 && !dumb_terminal())
    bar_ = std::make_unique<ProgressBar>(STDERR_FILENO);
}

Output::~Output() {
  end_progress();
}

void Output::print(std::string_view text) {
  end_progress();
  write_all(STDOUT_FILENO, text);
}

void Output::print_line(std::string_view text) {
  print(std::string(text) + "\n");
}

void Output::print_json(const Json& value) {
  print_line(dump_json(value));
}

void Output::print_result(const Json& result) {
  if (json_) return print_json(result);
  print_fields("", result);
}

void Output::print_fields(const std::string& of, const Json& fields) {
  for (const auto& [key, value] : fields.items()) {
    const std::string name = of + key;
    if (value.is_object()) {
      print_fields(name + " ", value);
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      for (const Json& item : value) print_line(name + ": " + dump_json(item));
    } else if (value.is_number_float()) {
      char text[64];
      const double number = value.get<double>();
      std::snprintf(text, sizeof(text), std::abs(number) >= 1000 ? "%.0f" : "%.4g", number);
      print_line(name + ": " + text);
    } else {
      print_line(name + ": " + dump_json(value));
    }
  }
}

void Output::write_stderr(const std::string& line) {
  end_progress();
  std::fputs((line + "\n").c_str(), stderr);
}

void Output::note(const std::string& line) {
  if (!quiet_) write_stderr(line);
}

void Output::warning(const std::string& line) {
  write_stderr("lectern: warning: " + line);
}

void Output::log_line(const std::string& line) {
  write_stderr(line);
}

void Output::nothing(const std::string& line) {
  note(line);
  if (json_) print_json(error_json(to_string(ErrorCode::kNotFound), line, kExitNothing));
}

ProgressFn Output::progress() {
  if (!bar_) return [](const Progress&) {};
  return [this](const Progress& state) { bar_->show(state); };
}

void Output::end_progress() {
  if (bar_) bar_->clear();
}

std::string Output::bold(const std::string& text) const {
  return colour_ ? "\033[1m" + text + "\033[0m" : text;
}

std::string Output::dim(const std::string& text) const {
  return colour_ ? "\033[2m" + text + "\033[0m" : text;
}

Json json_result(std::string_view name) {
  return Json{{"schema", "lectern." + std::string(name) + "/1"}};
}

Json error_json(std::string_view code, const std::string& message, int exit_code) {
  Json json = json_result("error");
  json["error"] = message;
  json["code"] = std::string(code);
  json["exit_code"] = exit_code;
  return json;
}

void report_error(bool json, std::string_view code, const std::string& message, int exit_code) {
  const char* kind = exit_code == kExitInterrupted ? "" : "error: ";
  std::fprintf(stderr, "lectern: %s%s\n", kind, printable(message).c_str());
  if (!json) return;
  try {
    Output(json, /*quiet=*/true).print_json(error_json(code, message, exit_code));
  } catch (const std::exception&) {
    // Where stdout itself is what failed, stderr has said it.
  }
}

std::string format_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof(text), unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string format_seconds(double seconds) {
  char text[32];
  if (seconds < 60) {
    std::snprintf(text, sizeof(text), "%.1f s", seconds);
  } else if (seconds < 3600) {
    const int whole = static_cast<int>(seconds);
    std::snprintf(text, sizeof(text), "%d:%02d min", whole / 60, whole % 60);
  } else {
    const int64_t minutes = static_cast<int64_t>(seconds / 60);
    std::snprintf(text, sizeof(text), "%lld:%02d h", static_cast<long long>(minutes / 60),
                  static_cast<int>(minutes % 60));
  }
  return text;
}

std::string plural(int64_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

}  // namespace lectern::cli
