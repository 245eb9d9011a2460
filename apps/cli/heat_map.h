// A table of shares as a picture: an SVG file that browsers show and that can be read without seeing colours.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lectern {

struct HeatMap {
  std::string title, description;  // for those who cannot see it, and above it
  std::string columns_name, rows_name;
  std::vector<std::string> columns, rows;
  // Of [rows][columns], 0 to 1; none where nothing was measured. As many as rows times columns.
  std::vector<std::optional<double>> values;
};

// Well-formed XML in UTF-8. Colours go from dark blue to yellow, which the colour-blind tell apart too, and
// every cell says its value.
std::string to_svg(const HeatMap& map);

}  // namespace lectern
