#include "omni/evaluation/shape_tokenizer_page.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "charts.h"
#include "html.h"
#include "omni/core/error.h"
#include "omni/core/text_format.h"
#include "omni/evaluation/report.h"
#include "omni/tokenizers/code_use.h"

namespace omni::evaluation {
namespace {

constexpr std::array<const char*, 3> kThirds = {"thinnest third", "middle third", "thickest third"};
constexpr std::array<const char*, 4> kColours = {"#2f6fde", "#d9822b", "#2a9d6f", "#8a5cc2"};

struct Column {
  const char* metric;
  const char* title;
  int digits;
};
constexpr std::array<Column, 7> kColumns = {{{"iou", "volume IoU", 4},
                                             {"cd_l1", "CD-L1", 4},
                                             {"f1", "F@1%", 4},
                                             {"f2", "F@2%", 4},
                                             {"normals", "normal consistency", 4},
                                             {"roughness", "roughness (degrees)", 2},
                                             {"colour_error", "colour error (0 to 255)", 1}}};

// Sums and counts of every metric.
class Means {
 public:
  void add(const std::map<std::string, double>& metrics) {
    for (const auto& [name, value] : metrics) {
      auto& [sum, count] = sums_[name];
      sum += value;
      ++count;
    }
  }
  std::map<std::string, double> take() const {
    std::map<std::string, double> means;
    for (const auto& [name, entry] : sums_) means[name] = entry.first / static_cast<double>(entry.second);
    return means;
  }

 private:
  std::map<std::string, std::pair<double, std::int64_t>> sums_;
};

std::string table_row(const std::string& name, const std::map<std::string, double>& means, bool strong) {
  std::string row = strong ? "<tr class=\"all\"><td>" : "<tr><td>";
  row += escape_html(name) + "</td>";
  for (const Column& column : kColumns) {
    const auto found = means.find(column.metric);
    row += "<td>" + (found == means.end() ? std::string("-") : with_decimals(found->second, column.digits)) +
           "</td>";
  }
  return row + "</tr>\n";
}

std::string table(const std::vector<LengthFigures>& figures) {
  std::string html = "<div class=\"panel\"><table><tr><th>codes</th>";
  for (const Column& column : kColumns) html += concat("<th>", column.title, "</th>");
  html += "</tr>\n";
  for (const LengthFigures& length : figures) {
    html += table_row(std::to_string(length.codes), length.means, true);
    for (std::size_t third = 0; third < kThirds.size(); ++third)
      if (!length.thirds[third].empty()) html += table_row(kThirds[third], length.thirds[third], false);
  }
  return html + "</table></div>\n";
}

LineSeries line_of(const std::vector<LengthFigures>& figures, const std::string& name,
                   const std::string& colour,
                   const std::function<const std::map<std::string, double>&(const LengthFigures&)>& means,
                   const std::string& metric) {
  LineSeries line{.name = name, .colour = colour, .x = {}, .y = {}};
  for (const LengthFigures& length : figures) {
    const auto found = means(length).find(metric);
    line.x.push_back(std::log2(static_cast<double>(length.codes)));
    line.y.push_back(found == means(length).end() ? std::nan("") : found->second);
  }
  return line;
}

std::string chart_of(const std::vector<LengthFigures>& figures, const char* metric, const char* title) {
  std::vector<LineSeries> lines = {line_of(
      figures, "all objects", kColours[0],
      [](const LengthFigures& f) -> const std::map<std::string, double>& { return f.means; }, metric)};
  for (std::size_t third = 0; third < kThirds.size(); ++third)
    lines.push_back(line_of(
        figures, kThirds[third], kColours[third + 1],
        [third](const LengthFigures& f) -> const std::map<std::string, double>& { return f.thirds[third]; },
        metric));
  return concat("<h3>", title, "</h3>\n<div class=\"panel\">") +
         line_chart(lines, "log2 of the number of codes", title) + "</div>\n";
}

bool measured(const std::vector<LengthFigures>& figures, const char* metric) {
  return std::any_of(figures.begin(), figures.end(),
                     [metric](const LengthFigures& length) { return length.means.contains(metric); });
}

std::string code_section(const ShapeTokenizerPage& page) {
  const std::vector<double> by_position = perplexity_by_position(page.codes);
  LineSeries line{.name = "perplexity", .colour = kColours[0], .x = {}, .y = by_position};
  for (std::size_t i = 0; i < by_position.size(); ++i) line.x.push_back(static_cast<double>(i));
  tokenizers::CodeUse use;
  for (const auto& codes : page.codes) use.add(codes);
  return concat("<h2>Codes</h2>\n<p class=\"note\">", use.used(), " of ", page.vocabulary,
                " codes are used; perplexity ", with_decimals(use.perplexity(), 1),
                " over all positions. Below, per position: 2^entropy over ", page.codes.size(),
                " objects, so at most that many.</p>\n<div class=\"panel\">") +
         line_chart({line}, "position", "perplexity") + "</div>\n";
}

}  // namespace

std::vector<LengthFigures> figures_by_length(const std::vector<SampleResult>& rows) {
  std::map<std::int64_t, std::vector<const SampleResult*>> by_length;
  for (const SampleResult& row : rows)
    by_length[static_cast<std::int64_t>(row.metrics.at("codes"))].push_back(&row);
  std::vector<LengthFigures> figures;
  for (auto& [codes, own] : by_length) {
    LengthFigures length{.codes = codes, .means = {}, .thirds = {}};
    Means all;
    for (const SampleResult* row : own) all.add(row->metrics);
    length.means = all.take();
    std::stable_sort(own.begin(), own.end(), [](const SampleResult* a, const SampleResult* b) {
      return a->metrics.at("thickness") < b->metrics.at("thickness");
    });
    for (std::size_t third = 0; third < 3; ++third) {
      Means part;
      for (std::size_t i = third * own.size() / 3; i < (third + 1) * own.size() / 3; ++i)
        part.add(own[i]->metrics);
      length.thirds[third] = part.take();
    }
    figures.push_back(std::move(length));
  }
  return figures;
}

std::vector<double> perplexity_by_position(const std::vector<std::vector<std::int32_t>>& codes) {
  std::vector<double> by_position;
  for (std::size_t position = 0; !codes.empty() && position < codes[0].size(); ++position) {
    tokenizers::CodeUse use;
    for (const auto& shape : codes) {
      ensure(shape.size() == codes[0].size(), "shapes of ", shape.size(), " and ", codes[0].size(), " codes");
      use.add(std::span(&shape[position], 1));
    }
    by_position.push_back(use.perplexity());
  }
  return by_position;
}

std::vector<std::int64_t> pictured_lengths(const std::vector<std::int64_t>& offered) {
  constexpr std::size_t kMaximum = 3;
  std::set<std::int64_t> chosen;
  for (const std::int64_t part : {8, 2, 1})
    for (auto length = offered.rbegin(); length != offered.rend(); ++length) {
      if (*length * part > offered.back()) continue;
      chosen.insert(*length);
      break;
    }
  for (auto length = offered.rbegin(); length != offered.rend() && chosen.size() < kMaximum; ++length)
    chosen.insert(*length);
  return {chosen.begin(), chosen.end()};
}

std::string shape_tokenizer_page_html(const ShapeTokenizerPage& page) {
  std::string body = "<h1>" + escape_html(page.title) + "</h1>\n";
  body += concat("<p class=\"note\">What ", page.codes.size(),
                 " objects keep when they become codes and come back. Thirds by mean thickness.</p>\n");
  body += table(page.figures);
  for (const Column& column : kColumns)
    if (page.figures.size() > 1 && measured(page.figures, column.metric))
      body += chart_of(page.figures, column.metric, column.title);
  if (!page.codes.empty()) body += code_section(page);
  if (!page.sheet.empty()) {
    std::string lengths;
    for (const std::int64_t length : page.sheet_lengths)
      lengths += concat(lengths.empty() ? "" : ", ", length);
    body += concat("<h2>Pictures</h2>\n<p class=\"note\">Each original, then what it is with ", lengths,
                   " codes.</p>\n", inline_picture(page.sheet, "originals and reconstructions"));
  }
  return html_page(page.title, body);
}

}  // namespace omni::evaluation
