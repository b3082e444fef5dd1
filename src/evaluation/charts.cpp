#include "charts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "omni/core/error.h"
#include "omni/core/text_format.h"
#include "omni/evaluation/report.h"

namespace omni::evaluation {
namespace {

constexpr double kPlotSide =
    1000;  // of a line chart's own frame, which is stretched to its place on the page
// Of a line chart in a file of its own; on a page it is style.css that says so.
constexpr const char* kPictureStyle =
    "text{font:12px system-ui,sans-serif;fill:#5b6675}line{stroke:#e3e7ed;stroke-width:1;vector-effect:"
    "non-scaling-stroke}polyline{fill:none;stroke-width:1.8;stroke-linecap:round;vector-effect:non-scaling-"
    "stroke}";
constexpr std::size_t kLinePoints = 300;
constexpr double kLargestDrawn = 1e100;  // beyond it differences of values overflow

bool is_drawn(double value) { return std::abs(value) <= kLargestDrawn; }

std::string at(double value) { return with_decimals(value, 1); }

std::string percent(double share) { return with_decimals(100 * std::clamp(share, 0.0, 1.0), 2) + "%"; }

std::string line_between(double x1, double y1, double x2, double y2) {
  return "<line x1=\"" + at(x1) + "\" y1=\"" + at(y1) + "\" x2=\"" + at(x2) + "\" y2=\"" + at(y2) + "\"/>";
}

template <class Series>
std::string legend(const std::vector<Series>& series) {
  std::string html = "<div class=\"legend\">";
  for (const Series& each : series) {
    if (each.name.empty()) continue;
    html += "<span><i style=\"background:" + each.colour + "\"></i>" + escape_html(each.name) + "</span>";
  }
  return html + "</div>\n";
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
  const double size = std::abs(value);
  if (size >= 1e9)
    std::snprintf(text, sizeof text, "%gG", value / 1e9);
  else if (size >= 1e6)
    std::snprintf(text, sizeof text, "%gM", value / 1e6);
  else if (size >= 1e4)
    std::snprintf(text, sizeof text, "%gk", value / 1e3);
  else
    std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

struct Frame {
  double x_low, x_high, y_low, y_high;
  double x_share(double value) const { return (value - x_low) / (x_high - x_low); }
  double y_share(double value) const { return (value - y_low) / (y_high - y_low); }
  double x(double value) const { return kPlotSide * x_share(value); }
  double y(double value) const { return kPlotSide * (1 - y_share(value)); }
};

// Two values apart from each other, as far as ticks between them need it: those of a constant are one.
void widen(double low, double& high) {
  const double least = 1e-9 * std::max(std::abs(low), std::abs(high));
  if (high - low <= least) high = low + std::max(1.0, 1000 * least);
}

// What a chart shows of lines: in long ones the first few percent may lie far above the rest, and are cut off there.
Frame frame_of(const std::vector<LineSeries>& series) {
  constexpr std::size_t kLong = 100;  // points
  constexpr double kBeginning = 0.03;
  std::vector<std::pair<double, double>> points;
  for (const LineSeries& line : series)
    for (std::size_t i = 0; i < line.x.size(); ++i)
      if (is_drawn(line.x[i]) && is_drawn(line.y[i])) points.emplace_back(line.x[i], line.y[i]);
  if (points.empty()) return {0, 1, 0, 1};
  const auto [first, last] = std::minmax_element(points.begin(), points.end());
  Frame frame{first->first, last->first, points.front().second, points.front().second};
  const double begun =
      points.size() < kLong ? frame.x_low : frame.x_low + kBeginning * (frame.x_high - frame.x_low);
  double highest = -std::numeric_limits<double>::infinity();
  for (const auto& [x, y] : points) {
    frame.y_low = std::min(frame.y_low, y);
    if (x >= begun) highest = std::max(highest, y);
  }
  frame.y_high = highest;
  widen(frame.x_low, frame.x_high);
  widen(frame.y_low, frame.y_high);
  const double margin = 0.06 * (frame.y_high - frame.y_low);
  frame.y_low -= margin;
  frame.y_high += margin;
  return frame;
}

std::string polyline(const LineSeries& line, const Frame& frame) {
  const std::size_t stride = std::max<std::size_t>(1, line.x.size() / kLinePoints);
  const std::string faint =
      line.opacity < 1 ? " stroke-opacity=\"" + with_decimals(line.opacity, 2) + "\"" : "";
  std::string points, svg;
  std::size_t joined = 0;
  const auto flush = [&] {
    if (joined == 1) points += points;  // a point alone: a dot, by the ends that the style gives lines
    if (joined > 0)
      svg += "<polyline stroke=\"" + line.colour + "\"" + faint + " points=\"" + points + "\"/>";
    points.clear();
    joined = 0;
  };
  for (std::size_t begin = 0; begin < line.x.size(); begin += stride) {
    double x = 0, y = 0;
    int count = 0;
    for (std::size_t i = begin; i < std::min(line.x.size(), begin + stride); ++i) {
      if (!is_drawn(line.y[i]) || !is_drawn(line.x[i])) continue;
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
    ++joined;
  }
  flush();
  return svg;
}

// Multiples of a nice step between two values, about `parts` of them.
std::vector<double> ticks(double low, double high, int parts) {
  const double step = nice_step(high - low, parts);
  std::vector<double> values;
  for (double multiple = std::ceil(low / step); multiple * step <= high; ++multiple)
    values.push_back(multiple * step + 0.0);  // which makes a zero of minus zero
  return values;
}

// The names of ticks along an edge of a line chart: texts, so that they are as large as others on the page.
std::string tick_labels(const char* side, const char* edge, const std::vector<double>& values,
                        const std::vector<double>& shares) {
  std::string html = concat("<div class=\"", side, "\">");
  for (std::size_t i = 0; i < values.size(); ++i)
    html += concat("<span style=\"", edge, ":", percent(shares[i]), "\">", tick_label(values[i]), "</span>");
  return html + "</div>\n";
}

// A row: the bar with its interval, and beside them what it says.
std::string bar_row(const BarSeries& series, const Bar& bar) {
  std::string html = "<div class=\"bar\" title=\"" + escape_html(series.name);
  if (!std::isfinite(bar.value)) return html + "\"><span class=\"track\"></span><b>–</b></div>\n";
  const double low = std::clamp(bar.low, 0.0, 1.0), high = std::clamp(bar.high, 0.0, 1.0);
  html += ": " + with_decimals(bar.value, 3) + " [" + with_decimals(bar.low, 3) + ", " +
          with_decimals(bar.high, 3) + "]\"><span class=\"track\"><i style=\"width:" + percent(bar.value) +
          ";background:" + series.colour + "\"></i>";
  if (std::isfinite(bar.low) && std::isfinite(bar.high))
    html += "<u style=\"left:" + percent(low) + ";width:" + percent(high - low) + "\"></u>";
  return html + "</span><b>" + with_decimals(bar.value, 2) + "</b></div>\n";
}

}  // namespace

std::string bar_chart(const std::vector<std::string>& groups, const std::vector<BarSeries>& series) {
  std::string html = legend(series) + "<div class=\"bars\">\n";
  for (std::size_t group = 0; group < groups.size(); ++group) {
    html += "<section><h4>" + escape_html(groups[group]) + "</h4>\n";
    for (const BarSeries& each : series) html += bar_row(each, each.bars.at(group));
    html += "<div class=\"scale\"><span>0</span><span>0.5</span><span>1</span></div></section>\n";
  }
  return html + "</div>\n";
}

namespace {

// The grid and the lines of a chart, in its own frame.
struct Plot {
  std::string svg;
  std::vector<double> xs, ys;              // ticks
  std::vector<double> x_shares, y_shares;  // of the sides, from the left and from below
};

Plot plot_of(const std::vector<LineSeries>& series) {
  const Frame frame = frame_of(series);
  Plot plot{.svg = "",
            .xs = ticks(frame.x_low, frame.x_high, 7),
            .ys = ticks(frame.y_low, frame.y_high, 5),
            .x_shares = {},
            .y_shares = {}};
  for (const double x : plot.xs) plot.x_shares.push_back(frame.x_share(x));
  for (const double y : plot.ys) {
    plot.y_shares.push_back(frame.y_share(y));
    plot.svg += line_between(0, frame.y(y), kPlotSide, frame.y(y));
  }
  for (const LineSeries& line : series) plot.svg += polyline(line, frame);
  return plot;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + at(x) + "\" y=\"" + at(y) + concat("\" text-anchor=\"", anchor, "\">") +
         escape_html(text) + "</text>\n";
}

}  // namespace

std::string line_chart(const std::vector<LineSeries>& series, const std::string& x_label,
                       const std::string& y_label) {
  const Plot plot = plot_of(series);
  return legend(series) + "<p class=\"axis\">" + escape_html(y_label) + "</p>\n<div class=\"plot\">\n" +
         tick_labels("ys", "bottom", plot.ys, plot.y_shares) +
         concat("<svg viewBox=\"0 0 ", kPlotSide, " ", kPlotSide,
                "\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"") +
         escape_html(y_label) + "\">" + plot.svg + "</svg>\n" +
         tick_labels("xs", "left", plot.xs, plot.x_shares) + "</div>\n<p class=\"axis below\">" +
         escape_html(x_label) + "</p>\n";
}

bool is_line_picture(std::string_view text) {
  return text.starts_with("<svg xmlns=") &&
         text.find(concat("\n<style>", kPictureStyle, "</style>\n")) != text.npos;
}

std::string line_picture(const std::vector<LineSeries>& series, const std::string& x_label,
                         const std::string& y_label) {
  constexpr double kWidth = 760, kLeft = 64, kRight = 24, kPlotHeight = 320, kLine = 18;
  const Plot plot = plot_of(series);
  double y = 24;
  std::string body = text_at(kLeft, y, "start", y_label);
  for (const LineSeries& each : series) {
    if (each.name.empty()) continue;
    y += kLine;
    body += "<rect x=\"" + at(kLeft) + "\" y=\"" + at(y - 10) + "\" width=\"11\" height=\"11\" fill=\"" +
            each.colour + "\"/>" + text_at(kLeft + kLine, y, "start", each.name);
  }
  const double top = y + kLine, bottom = top + kPlotHeight, width = kWidth - kLeft - kRight;
  for (std::size_t i = 0; i < plot.ys.size(); ++i)
    body += text_at(kLeft - 8, bottom - plot.y_shares[i] * kPlotHeight + 4, "end", tick_label(plot.ys[i]));
  for (std::size_t i = 0; i < plot.xs.size(); ++i)
    body += text_at(kLeft + plot.x_shares[i] * width, bottom + kLine, "middle", tick_label(plot.xs[i]));
  body += text_at(kLeft + width / 2, bottom + 2 * kLine, "middle", x_label);
  body += "<svg x=\"" + at(kLeft) + "\" y=\"" + at(top) + "\" width=\"" + at(width) + "\" height=\"" +
          at(kPlotHeight) +
          concat("\" viewBox=\"0 0 ", kPlotSide, " ", kPlotSide, "\" preserveAspectRatio=\"none\">") +
          plot.svg + "</svg>\n";
  const double height = bottom + 2.5 * kLine;
  return concat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", kWidth, "\" height=\"", height,
                "\" viewBox=\"0 0 ", kWidth, " ", height, "\">\n<style>", kPictureStyle, "</style>\n",
                "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n") +
         body + "</svg>\n";
}

}  // namespace omni::evaluation
