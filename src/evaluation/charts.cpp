#include "charts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "omni/core/error.h"
#include "omni/core/text_format.h"
#include "omni/evaluation/report.h"

namespace omni::evaluation {
namespace {

constexpr double kWidth = 720, kHeight = 260, kLeft = 52, kRight = 16, kTop = 34, kBottom = 40;
constexpr double kPlotWidth = kWidth - kLeft - kRight, kPlotHeight = kHeight - kTop - kBottom;
constexpr std::size_t kLinePoints = 300;

std::string at(double value) { return with_decimals(value, 1); }

std::string text_at(double x, double y, const std::string& text, const std::string& anchor) {
  return "<text x=\"" + at(x) + "\" y=\"" + at(y) + "\" text-anchor=\"" + anchor + "\">" + escape_html(text) +
         "</text>";
}

std::string line_between(double x1, double y1, double x2, double y2, const std::string& style) {
  return "<line x1=\"" + at(x1) + "\" y1=\"" + at(y1) + "\" x2=\"" + at(x2) + "\" y2=\"" + at(y2) + "\" " +
         style + "/>";
}

std::string legend(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string svg;
  double x = kLeft;
  for (const auto& [name, colour] : entries) {
    svg += "<rect x=\"" + at(x) + "\" y=\"8\" width=\"11\" height=\"11\" rx=\"2\" fill=\"" + colour + "\"/>";
    svg += text_at(x + 16, 18, name, "start");
    x += 34 + 7.0 * static_cast<double>(name.size());
  }
  return svg;
}

std::string begin_svg() {
  return "<svg class=\"chart\" viewBox=\"0 0 " + with_decimals(kWidth, 0) + " " + with_decimals(kHeight, 0) +
         "\" role=\"img\">";
}

// A step of 1, 2 or 5 times a power of ten that cuts `span` into about `parts`.
double nice_step(double span, int parts) {
  const double raw = std::max(span, 1e-12) / parts;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power * 1.0001) return factor * power;
  }
  return 10 * power;
}

std::string tick_label(double value) {
  char text[48];
  if (std::abs(value) >= 10000) {
    std::snprintf(text, sizeof text, "%gk", value / 1000);
  } else {
    std::snprintf(text, sizeof text, "%.4g", value);
  }
  return text;
}

struct Frame {
  double x_low, x_high, y_low, y_high;
  double x(double value) const { return kLeft + (value - x_low) / (x_high - x_low) * kPlotWidth; }
  double y(double value) const { return kTop + (1 - (value - y_low) / (y_high - y_low)) * kPlotHeight; }
};

// What a chart shows of lines: the first few percent of training may lie far above the rest.
Frame frame_of(const std::vector<LineSeries>& series) {
  std::vector<double> xs, ys;
  for (const LineSeries& line : series) {
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      if (!std::isfinite(line.x[i]) || !std::isfinite(line.y[i])) continue;
      xs.push_back(line.x[i]);
      ys.push_back(line.y[i]);
    }
  }
  if (xs.empty()) return {0, 1, 0, 1};
  std::sort(ys.begin(), ys.end());
  Frame frame{*std::min_element(xs.begin(), xs.end()), *std::max_element(xs.begin(), xs.end()), ys.front(),
              ys[static_cast<std::size_t>(0.985 * static_cast<double>(ys.size() - 1))]};
  if (frame.x_high <= frame.x_low) frame.x_high = frame.x_low + 1;
  if (frame.y_high <= frame.y_low) frame.y_high = frame.y_low + 1;
  const double margin = 0.06 * (frame.y_high - frame.y_low);
  frame.y_low -= margin;
  frame.y_high += margin;
  return frame;
}

std::string grid_of(const Frame& frame, const std::string& x_label, const std::string& y_label) {
  std::string svg;
  const double y_step = nice_step(frame.y_high - frame.y_low, 5);
  for (double y = std::ceil(frame.y_low / y_step) * y_step; y <= frame.y_high; y += y_step) {
    svg += line_between(kLeft, frame.y(y), kWidth - kRight, frame.y(y), "class=\"grid\"");
    svg += text_at(kLeft - 6, frame.y(y) + 4, tick_label(y), "end");
  }
  const double x_step = nice_step(frame.x_high - frame.x_low, 7);
  for (double x = std::ceil(frame.x_low / x_step) * x_step; x <= frame.x_high; x += x_step) {
    svg += text_at(frame.x(x), kHeight - kBottom + 16, tick_label(x), "middle");
  }
  svg += text_at(kLeft + kPlotWidth / 2, kHeight - 6, x_label, "middle");
  svg += text_at(kWidth - kRight, 18, y_label, "end");
  return svg;
}

std::string polyline(const LineSeries& line, const Frame& frame) {
  const std::size_t stride = std::max<std::size_t>(1, line.x.size() / kLinePoints);
  std::string points, svg;
  const auto flush = [&] {
    if (!points.empty()) {
      svg += "<polyline fill=\"none\" stroke=\"" + line.colour + "\" stroke-width=\"1.8\" points=\"" +
             points + "\"/>";
    }
    points.clear();
  };
  for (std::size_t begin = 0; begin < line.x.size(); begin += stride) {
    double x = 0, y = 0;
    int count = 0;
    for (std::size_t i = begin; i < std::min(line.x.size(), begin + stride); ++i) {
      if (!std::isfinite(line.y[i]) || !std::isfinite(line.x[i])) continue;
      x += line.x[i];
      y += line.y[i];
      ++count;
    }
    if (count == 0) {
      flush();
      continue;
    }
    const double shown = std::clamp(y / count, frame.y_low, frame.y_high);
    points += at(frame.x(x / count)) + "," + at(frame.y(shown)) + " ";
  }
  flush();
  return svg;
}

}  // namespace

std::string bar_chart(const std::vector<std::string>& groups, const std::vector<BarSeries>& series) {
  const Frame frame{0, 1, 0, 1};
  std::string svg = begin_svg();
  std::vector<std::pair<std::string, std::string>> entries;
  for (const BarSeries& each : series) entries.emplace_back(each.name, each.colour);
  svg += legend(entries);
  for (const double y : {0.0, 0.2, 0.4, 0.6, 0.8, 1.0}) {
    svg += line_between(kLeft, frame.y(y), kWidth - kRight, frame.y(y), "class=\"grid\"");
    svg += text_at(kLeft - 6, frame.y(y) + 4, with_decimals(y, 1), "end");
  }
  const double group_width = kPlotWidth / static_cast<double>(std::max<std::size_t>(1, groups.size()));
  const double bar_width =
      std::min(30.0, group_width * 0.8 / static_cast<double>(std::max<std::size_t>(1, series.size())));
  for (std::size_t group = 0; group < groups.size(); ++group) {
    const double centre = kLeft + group_width * (static_cast<double>(group) + 0.5);
    double x = centre - bar_width * static_cast<double>(series.size()) / 2;
    for (const BarSeries& each : series) {
      const Bar& bar = each.bars.at(group);
      if (std::isfinite(bar.value)) {
        const double top = frame.y(std::clamp(bar.value, 0.0, 1.0)), middle = x + bar_width / 2;
        svg += "<rect x=\"" + at(x + 1) + "\" y=\"" + at(top) + "\" width=\"" + at(bar_width - 2) +
               "\" height=\"" + at(frame.y(0) - top) + "\" rx=\"2\" fill=\"" + each.colour + "\"><title>" +
               escape_html(each.name) + ": " + with_decimals(bar.value, 3) + " [" +
               with_decimals(bar.low, 3) + ", " + with_decimals(bar.high, 3) + "]</title></rect>";
        svg += line_between(middle, frame.y(std::clamp(bar.low, 0.0, 1.0)), middle,
                            frame.y(std::clamp(bar.high, 0.0, 1.0)), "class=\"whisker\"");
        svg += text_at(middle, frame.y(std::clamp(bar.high, 0.0, 1.0)) - 4, with_decimals(bar.value, 2),
                       "middle");
      }
      x += bar_width;
    }
    svg += text_at(centre, kHeight - kBottom + 18, groups[group], "middle");
  }
  return svg + "</svg>\n";
}

std::string line_chart(const std::vector<LineSeries>& series, const std::string& x_label,
                       const std::string& y_label) {
  const Frame frame = frame_of(series);
  std::string svg = begin_svg();
  std::vector<std::pair<std::string, std::string>> entries;
  for (const LineSeries& line : series) entries.emplace_back(line.name, line.colour);
  svg += legend(entries);
  svg += grid_of(frame, x_label, y_label);
  for (const LineSeries& line : series) svg += polyline(line, frame);
  return svg + "</svg>\n";
}

}  // namespace omni::evaluation
