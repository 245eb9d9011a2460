#include "apps/cli/heat_map.h"

#include <algorithm>
#include <cmath>

#include "apps/common/printable.h"
#include "base/error.h"

namespace lectern {
namespace {

constexpr int kCellWidth = 76, kCellHeight = 36, kLeft = 150, kTop = 92, kMargin = 24;
constexpr int kBarWidth = 18, kBarLabel = 48;
constexpr const char* kNothing = "#d9d9d9";

struct Colour {
  double red, green, blue;
};

// Light grows evenly along blue, grey and yellow, the one pair of hues that common colour blindness keeps.
Colour colour_of(double value) {
  static constexpr Colour kScale[] = {
      {0, 32, 81}, {60, 77, 110}, {127, 124, 117}, {187, 175, 113}, {253, 234, 69}};
  constexpr int kLast = static_cast<int>(std::size(kScale)) - 1;
  const double at = std::clamp(value, 0.0, 1.0) * kLast;
  const int below = std::min(static_cast<int>(at), kLast - 1);
  const auto mix = [&](double a, double b) { return a + (at - below) * (b - a); };
  const Colour &a = kScale[below], &b = kScale[below + 1];
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

std::string hex(const Colour& colour) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "#";
  for (const double part : {colour.red, colour.green, colour.blue}) {
    const auto byte = static_cast<size_t>(std::lround(part));
    text += kDigits[byte / 16];
    text += kDigits[byte % 16];
  }
  return text;
}

// Whichever of black and white stands out from the colour (WCAG's relative luminance).
const char* ink_on(const Colour& colour) {
  const auto linear = [](double part) {
    const double c = part / 255;
    return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  };
  const double light =
      0.2126 * linear(colour.red) + 0.7152 * linear(colour.green) + 0.0722 * linear(colour.blue);
  return light > 0.179 ? "#000000" : "#ffffff";
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string attribute(const char* name, int value) {
  return std::string(" ") + name + "=\"" + std::to_string(value) + "\"";
}

std::string rectangle(int x, int y, int width, int height, const std::string& fill) {
  return "<rect" + attribute("x", x) + attribute("y", y) + attribute("width", width) +
         attribute("height", height) + " fill=\"" + fill + "\" stroke=\"#ffffff\"";
}

std::string label(int x, int y, const char* anchor, std::string_view text, const std::string& more = {}) {
  return "<text" + attribute("x", x) + attribute("y", y) + " text-anchor=\"" + anchor + "\"" + more + ">" +
         escaped(text) + "</text>\n";
}

std::string percent(double value) {
  return std::to_string(std::lround(100 * value)) + " %";
}

std::string cell(const HeatMap& map, size_t row, size_t column) {
  const std::optional<double> value = map.values[row * map.columns.size() + column];
  const int x = kLeft + static_cast<int>(column) * kCellWidth, y = kTop + static_cast<int>(row) * kCellHeight;
  const std::string shown = value ? percent(*value) : "–";
  const Colour colour = colour_of(value.value_or(0));
  std::string svg = rectangle(x, y, kCellWidth, kCellHeight, value ? hex(colour) : kNothing) + "><title>" +
                    escaped(map.columns_name + " " + map.columns[column] + ", " + map.rows_name + " " +
                            map.rows[row] + ": " + (value ? shown : "not measured")) +
                    "</title></rect>\n";
  return svg + label(x + kCellWidth / 2, y + kCellHeight / 2 + 5, "middle", shown,
                     std::string(" fill=\"") + (value ? ink_on(colour) : "#000000") + "\"");
}

// What the colours mean, beside the table.
std::string colour_bar(int x, int height) {
  constexpr int kSteps = 20;
  std::string svg;
  for (int i = 0; i < kSteps; ++i) {
    const int top = kTop + height * i / kSteps, bottom = kTop + height * (i + 1) / kSteps;
    svg += "<rect" + attribute("x", x) + attribute("y", top) + attribute("width", kBarWidth) +
           attribute("height", bottom - top) + " fill=\"" + hex(colour_of(1 - (i + 0.5) / kSteps)) + "\"/>\n";
  }
  for (const double value : {1.0, 0.5, 0.0}) {
    svg += label(x + kBarWidth + 6, kTop + 5 + static_cast<int>(std::lround((1 - value) * height)), "start",
                 percent(value));
  }
  return svg;
}

}  // namespace

std::string to_svg(const HeatMap& map) {
  LECTERN_CHECK(map.values.size() == map.rows.size() * map.columns.size());
  const int table_width = static_cast<int>(map.columns.size()) * kCellWidth;
  const int table_height = std::max(1, static_cast<int>(map.rows.size())) * kCellHeight;
  // The two lines above need room too: so many pixels a letter of their sizes, in wide fonts.
  const auto title_width =
      static_cast<int>(std::max(11 * map.title.size(), 8 * map.description.size())) + kMargin;
  const int width = std::max(kLeft + table_width + kMargin + kBarWidth + kBarLabel, title_width) + kMargin;
  const int height = kTop + table_height + kMargin;
  std::string svg = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"" +
                    attribute("width", width) + attribute("height", height) + " viewBox=\"0 0 " +
                    std::to_string(width) + " " + std::to_string(height) +
                    "\" role=\"img\" aria-labelledby=\"title description\" font-family=\"sans-serif\""
                    " font-size=\"14\">\n<title id=\"title\">" +
                    escaped(map.title) + "</title>\n<desc id=\"description\">" + escaped(map.description) +
                    "</desc>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  svg += label(kMargin, 26, "start", map.title, " font-size=\"16\" font-weight=\"bold\"");
  svg += label(kMargin, 46, "start", map.description, " font-size=\"12\"");
  svg += label(kLeft + table_width / 2, 66, "middle", map.columns_name);
  svg += label(kMargin, kTop - 10, "start", map.rows_name);
  for (size_t column = 0; column < map.columns.size(); ++column) {
    svg += label(kLeft + static_cast<int>(column) * kCellWidth + kCellWidth / 2, kTop - 10, "middle",
                 map.columns[column]);
  }
  for (size_t row = 0; row < map.rows.size(); ++row) {
    svg += label(kLeft - 10, kTop + static_cast<int>(row) * kCellHeight + kCellHeight / 2 + 5, "end",
                 map.rows[row]);
    for (size_t column = 0; column < map.columns.size(); ++column) svg += cell(map, row, column);
  }
  svg += colour_bar(kLeft + table_width + kMargin, table_height);
  return svg + "</svg>\n";
}

}  // namespace lectern
