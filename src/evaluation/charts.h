#pragma once

#include <string>
#include <vector>

namespace omni::evaluation {

// Small charts of HTML and inline SVG, as wide as their place; their texts keep the page's size. Values beyond
// 1e100 are drawn as those that are no numbers.

struct Bar {
  double value = 0, low = 0, high = 0;  // not-a-number: no bar
};
struct BarSeries {
  std::string name, colour;
  std::vector<Bar> bars;  // one per group
};
// Groups of lying bars over 0 .. 1 with their intervals.
std::string bar_chart(const std::vector<std::string>& groups, const std::vector<BarSeries>& series);

struct LineSeries {
  std::string name, colour;  // without a name: not in the legend
  std::vector<double> x, y;  // not-a-number leaves a gap
  double opacity = 1;
};
std::string line_chart(const std::vector<LineSeries>& series, const std::string& x_label,
                       const std::string& y_label);
// The same as an SVG file of its own.
std::string line_picture(const std::vector<LineSeries>& series, const std::string& x_label,
                         const std::string& y_label);
bool is_line_picture(std::string_view text);

}  // namespace omni::evaluation
