#include "apps/cli/heat_map.h"

#include <pugixml.hpp>
#include <set>

#include "tests/support/catch.h"

namespace lectern {
namespace {

const HeatMap kMap = {.title = "Keys found by \"a & b\" <model>\x01",
                      .description = "Two lengths and three depths",
                      .columns_name = "tokens",
                      .rows_name = "depth",
                      .columns = {"1000", "2000"},
                      .rows = {"0 %", "50 %", "100 %"},
                      .values = {1.0, 0.0, 0.5, std::nullopt, 0.25, 0.75}};

// Every <text> of the picture.
std::vector<std::string> texts_of(const pugi::xml_node& svg) {
  std::vector<std::string> texts;
  for (const pugi::xml_node& text : svg.children("text")) texts.emplace_back(text.child_value());
  return texts;
}

double luminance(const std::string& colour) {
  const auto part = [&](size_t at) { return std::stoi(colour.substr(at, 2), nullptr, 16); };
  return 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
}

}  // namespace

TEST_CASE("a heat map is well-formed SVG that says its title and every value") {
  const std::string svg = to_svg(kMap);
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(svg.data(), svg.size());
  INFO(parsed.description());
  REQUIRE(parsed);
  const pugi::xml_node root = document.child("svg");
  REQUIRE(root);
  CHECK(root.attribute("xmlns").value() == std::string("http://www.w3.org/2000/svg"));
  CHECK(root.attribute("role").value() == std::string("img"));
  CHECK(root.attribute("aria-labelledby").value() == std::string("title description"));
  CHECK(root.child("title").attribute("id").value() == std::string("title"));
  CHECK_THAT(root.child("title").child_value(), Catch::StartsWith("Keys found by \"a & b\" <model>"));
  CHECK(svg.find('\x01') == std::string::npos);
  CHECK(root.child("desc").child_value() == kMap.description);

  const std::vector<std::string> texts = texts_of(root);
  const std::multiset<std::string> said(texts.begin(), texts.end());
  for (const std::string label : {"tokens", "depth", "1000", "2000", "–", "25 %", "75 %"})
    CHECK(said.count(label) == 1);
  CHECK(said.count("100 %") == 3);  // a row, a value and the scale
  CHECK(said.count("0 %") == 3);

  // All of it is inside.
  const double width = root.attribute("width").as_double(), height = root.attribute("height").as_double();
  std::vector<std::string> colours;
  for (const pugi::xml_node& cell : root.children("rect")) {
    CHECK(cell.attribute("x").as_double() + cell.attribute("width").as_double() <= width);
    CHECK(cell.attribute("y").as_double() + cell.attribute("height").as_double() <= height);
    if (!cell.child("title")) continue;
    colours.emplace_back(cell.attribute("fill").value());
  }
  REQUIRE(colours.size() == 6);
  // More is lighter, whatever hues are seen: values 0, .25, .5, .75 and 1.
  const size_t by_value[] = {1, 4, 2, 5, 0};
  for (size_t i = 1; i < 5; ++i)
    CHECK(luminance(colours[by_value[i]]) > luminance(colours[by_value[i - 1]]) + 20);
}

TEST_CASE("a heat map of nothing yet is a picture too") {
  HeatMap map = kMap;
  for (auto& value : map.values) value.reset();
  const std::string svg = to_svg(map);
  pugi::xml_document document;
  CHECK(document.load_buffer(svg.data(), svg.size()));
  CHECK_THAT(svg, Catch::Contains("not measured"));
}

}  // namespace lectern
