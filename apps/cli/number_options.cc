#include "apps/cli/number_options.h"

#include <charconv>
#include <sstream>

namespace lectern::cli {

CLI::Validator number_in(double least, double most) {
  std::ostringstream range;
  range << "[" << least << " - " << most << "]";
  const auto check = [least, most, range = range.str()](std::string& text) -> std::string {
    double value = 0;
    const bool good = CLI::detail::lexical_cast(text, value) && value >= least && value <= most;
    return good ? "" : "Value " + text + " not in range " + range;
  };
  return CLI::Validator(check, "FLOAT in " + range.str());
}

CLI::Validator whole_number(uint64_t most) {
  const auto check = [most](std::string& text) -> std::string {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool good = error == std::errc() && end == text.data() + text.size() && value <= most;
    return good ? "" : text + " is not a whole number from 0 to " + std::to_string(most);
  };
  return CLI::Validator(check, "");
}

}  // namespace lectern::cli
