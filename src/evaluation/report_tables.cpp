#include "report_tables.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <span>

#include "charts.h"
#include "html.h"
#include "omni/core/error.h"
#include "omni/evaluation/report.h"

namespace omni::evaluation {
namespace {

struct Column {
  const char* metric;
  const char* title;
  bool percent;
  int digits;
};
constexpr Column kOwnColumns[] = {
    {"iou", "volume IoU", false, 3},
    {"cd", "CD-L1", false, 4},
    {"f1", "F@1%", false, 3},
    {"f2", "F@2%", false, 3},
    {"class", "class", true, 1},
    {"colour", "colour", true, 1},
    {"named_colour", "named colours", true, 1},
    {"closed", "closed", true, 1},
    {"empty", "empty", true, 1},
    {"words", "words", false, 3},
    {"psnr_db", "PSNR dB", false, 1},
    {"over_retrieval", "IoU over retrieval", false, 3},
    {"verbatim", "verbatim", true, 1},
    {"verbatim_right", "verbatim and right", true, 1},
    {"roughness", "roughness", false, 2},
    {"class_kept", "class kept", true, 1},
    {"edited_right", "edited part right", true, 1},
    {"untouched_distance", "untouched parts moved by", true, 2},
    {"untouched_kept", "untouched parts kept", true, 1},
    {"edit_right", "edit right", true, 1},
};
constexpr Column kControlColumns[] = {
    {"shuffled_iou", "shuffled IoU", false, 3},
    {"nearest_iou", "nearest IoU", false, 3},
    {"nearest_picture_iou", "nearest picture IoU", false, 3},
    {"best_training_iou", "best training IoU", false, 3},
    {"ceiling_iou", "ceiling IoU", false, 3},
    {"ceiling_colour", "ceiling colour", true, 1},
    {"ceiling_class", "ceiling class", true, 1},
    {"reader_class", "reader class", true, 1},
    {"image_psnr_db", "image PSNR dB", false, 1},
    {"copy_iou", "source copied: IoU", false, 3},
    {"copy_edited_right", "source copied: edited part right", true, 1},
    {"copy_untouched_kept", "source copied: untouched parts kept", true, 1},
    {"copy_edit_right", "source copied: edit right", true, 1},
    {"ceiling_edited_right", "ceiling edited part right", true, 1},
    {"ceiling_untouched_kept", "ceiling untouched parts kept", true, 1},
    {"ceiling_edit_right", "ceiling edit right", true, 1},
};

const Column* column_of(const std::string& metric) {
  for (const std::span<const Column> columns :
       {std::span<const Column>(kOwnColumns), std::span<const Column>(kControlColumns)})
    for (const Column& column : columns)
      if (metric == column.metric) return &column;
  return nullptr;
}

const MeanInterval* find(const TaskSummary& task, const std::string& split, const std::string& metric) {
  const auto of_split = task.splits.find(split);
  if (of_split == task.splits.end()) return nullptr;
  const auto found = of_split->second.find(metric);
  return found == of_split->second.end() ? nullptr : &found->second;
}

std::string number(double value, const Column& column) {
  if (!std::isfinite(value)) return "–";
  char text[48];
  const bool percent = column.percent;
  std::snprintf(text, sizeof text, percent ? "%.*f %%" : "%.*f", column.digits,
                percent ? 100 * value : value);
  return text;
}

std::string cell(const MeanInterval* interval, const Column& column, bool best = false) {
  if (interval == nullptr) return "<td>–</td>";
  const double scale = column.percent ? 100 : 1;
  char range[64];
  std::snprintf(range, sizeof range, "%.*f – %.*f", column.digits, scale * interval->low, column.digits,
                scale * interval->high);
  return (best ? "<td class=\"best\">" : "<td>") + number(interval->mean, column) + "<br/><small>" + range +
         "</small></td>";
}

std::int64_t sample_count(const TaskSummary& task, const std::string& split) {
  std::int64_t count = 0;
  const auto found = task.splits.find(split);
  if (found == task.splits.end()) return 0;
  for (const auto& [metric, interval] : found->second) count = std::max(count, interval.count);
  return count;
}

std::vector<std::string> splits_of(const SweepConfig& config, const TaskSummary& task) {
  std::vector<std::string> splits;
  for (const std::string& split : config.splits) {
    if (task.splits.contains(split)) splits.push_back(split);
  }
  return splits;
}

// The setting, and the bundle where there are several: "warm, demo". "" where there is one of each.
std::string variant_name(const SweepConfig& config, const TaskSummary& task) {
  std::string name;
  if (config.settings.size() > 1) name = task.setting;
  if (config.bundles.size() > 1) name += (name.empty() ? "" : ", ") + task.bundle;
  return name;
}

std::string task_title(const SweepConfig& config, const TaskSummary& task) {
  const std::string variant = variant_name(config, task);
  return escape_html(variant.empty() ? task.task : task.task + ", " + variant);
}

std::vector<Column> measured_columns(const std::vector<TaskSummary>& tasks,
                                     std::span<const Column> candidates) {
  std::vector<Column> columns;
  for (const Column& column : candidates) {
    const bool measured = std::any_of(tasks.begin(), tasks.end(), [&](const TaskSummary& task) {
      return find(task, "all", column.metric) != nullptr;
    });
    if (measured) columns.push_back(column);
  }
  return columns;
}

std::string table_head(const std::string& first, const std::vector<Column>& columns) {
  std::string head = "<thead><tr><th>" + first + "</th><th>objects</th>";
  for (const Column& column : columns) head += std::string("<th>") + column.title + "</th>";
  return head + "</tr></thead>\n";
}

// 1 where more is better, -1 where less is, 0 where it is neither.
int better_direction(std::string_view metric) {
  if (metric == "cd" || metric == "empty" || metric == "roughness" || metric == "verbatim" ||
      metric == "untouched_distance")
    return -1;
  return metric == "verbatim_right" ? 0 : 1;
}

// As a table prints it, so that what looks alike is alike.
double printed(double value, const Column& column) {
  const double unit = std::pow(10.0, -column.digits) / (column.percent ? 100 : 1);
  return std::round(value / unit);
}

// The best printed mean of several rows; not a number where they are all the same.
double best_of(const std::vector<const TaskSummary*>& rows, const Column& column) {
  std::vector<double> means;
  for (const TaskSummary* row : rows) {
    const MeanInterval* interval = find(*row, "all", column.metric);
    if (interval != nullptr && std::isfinite(interval->mean))
      means.push_back(printed(interval->mean, column));
  }
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  if (means.empty()) return none;
  const auto [least, most] = std::minmax_element(means.begin(), means.end());
  const int direction = better_direction(column.metric);
  if (direction == 0 || *least == *most) return none;
  return direction > 0 ? *most : *least;
}

std::string compared_rows(const SweepConfig& config, const std::vector<const TaskSummary*>& rows,
                          const std::vector<Column>& columns) {
  std::string html;
  for (const TaskSummary* row : rows) {
    html += "<tr><td>" + escape_html(variant_name(config, *row)) + "</td><td>" +
            std::to_string(sample_count(*row, "all")) + "</td>";
    for (const Column& column : columns) {
      const MeanInterval* interval = find(*row, "all", column.metric);
      html += cell(interval, column,
                   interval != nullptr && printed(interval->mean, column) == best_of(rows, column));
    }
    html += "</tr>\n";
  }
  return html;
}

std::string figure_table(const SweepConfig& config, const TaskSummary& task,
                         std::span<const Column> candidates) {
  const std::vector<Column> columns = measured_columns({task}, candidates);
  if (columns.empty()) return "";
  std::vector<std::string> splits = splits_of(config, task);
  splits.emplace_back("all");
  std::string rows;
  for (const std::string& split : splits) {
    rows += split == "all" ? "<tr class=\"all\">" : "<tr>";
    rows += "<td>" + escape_html(split) + "</td><td>" + std::to_string(sample_count(task, split)) + "</td>";
    for (const Column& column : columns) rows += cell(find(task, split, column.metric), column);
    rows += "</tr>\n";
  }
  return "<h3>" + task_title(config, task) + "</h3>\n<div class=\"panel\"><table>\n" +
         table_head("split", columns) + "<tbody>\n" + rows + "</tbody></table></div>\n";
}

std::string tables(const SweepConfig& config, const SweepSummary& summary, std::span<const Column> columns) {
  std::string html;
  for (const TaskSummary& task : summary.tasks) html += figure_table(config, task, columns);
  return html;
}

std::string card(const TaskSummary& task, const std::string& metric, const std::string& label) {
  const MeanInterval* interval = find(task, "all", metric);
  const Column* column = column_of(metric);
  if (interval == nullptr || column == nullptr) return "";
  std::string text = escape_html(label);
  // A line does not end within a task's arrows, but may before what its prompts are.
  const std::string name = escape_html(task.task.substr(0, task.task.find(',')));
  if (text.starts_with(name)) text = "<em>" + name + "</em>" + text.substr(name.size());
  return "<div class=\"card\"><b>" + number(interval->mean, *column) + "</b><span>" + text +
         "</span></div>\n";
}

BarSeries series_of(const TaskSummary& task, const std::vector<std::string>& splits,
                    const std::string& metric, const std::string& name, const std::string& colour) {
  BarSeries series{.name = name, .colour = colour, .bars = {}};
  constexpr double nothing = std::numeric_limits<double>::quiet_NaN();
  for (const std::string& split : splits) {
    const MeanInterval* interval = find(task, split, metric);
    series.bars.push_back(interval == nullptr ? Bar{nothing, nothing, nothing}
                                              : Bar{interval->mean, interval->low, interval->high});
  }
  return series;
}

}  // namespace

std::string headline_cards(const SweepConfig& config, const SweepSummary& summary) {
  std::string cards;
  bool controls_shown = false;
  std::vector<std::string> seen;
  for (const TaskSummary& task : summary.tasks) {
    if (std::find(seen.begin(), seen.end(), task.task) != seen.end()) continue;
    seen.push_back(task.task);
    cards += card(task, "iou", task.task + ": volume IoU");
    cards += card(task, "edit_right", task.task + ": edited part right, the others kept");
    if (task.task == "text->shape") {
      cards += card(task, "colour", "text->shape: colours right");
      cards += card(task, "closed", "text->shape: closed and manifold");
      cards += card(task, "shuffled_iou", "IoU with another prompt's shape");
      cards += card(task, "nearest_iou", "IoU of the nearest training caption's shape");
    }
    if (!controls_shown && find(task, "all", "ceiling_iou") != nullptr) {
      cards += card(task, "ceiling_iou", "tokenizer's reconstruction: volume IoU");
      cards += card(task, "image_psnr_db", "image tokenizer: PSNR in dB");
      controls_shown = true;
    }
  }
  if (cards.empty()) return "";
  const std::string variant = variant_name(config, summary.tasks.front());
  return "<div class=\"cards\">\n" + cards + "</div>\n" +
         (variant.empty() ? "" : note("These are the figures of " + variant + "."));
}

std::string comparison_table(const SweepConfig& config, const SweepSummary& summary) {
  if (config.settings.size() * config.bundles.size() < 2) return "";
  const std::vector<Column> columns = measured_columns(summary.tasks, kOwnColumns);
  std::string body;
  for (const SweepTask& task : config.tasks) {
    std::vector<const TaskSummary*> rows;
    for (const TaskSummary& row : summary.tasks)
      if (row.task == task.title()) rows.push_back(&row);
    body += concat("<tr class=\"task\"><th colspan=\"", columns.size() + 2, "\"><span>",
                   escape_html(task.title()), "</span></th></tr>\n") +
            compared_rows(config, rows, columns);
  }
  return "<div class=\"panel\"><table>\n" + table_head("setting", columns) + "<tbody>\n" + body +
         "</tbody></table></div>\n";
}

std::string task_tables(const SweepConfig& config, const SweepSummary& summary) {
  return tables(config, summary, kOwnColumns);
}

std::string control_tables(const SweepConfig& config, const SweepSummary& summary) {
  return tables(config, summary, kControlColumns);
}

std::string control_charts(const SweepConfig& config, const SweepSummary& summary) {
  std::string html;
  for (const TaskSummary& task : summary.tasks) {
    if (find(task, "all", "iou") == nullptr) continue;
    std::vector<std::string> splits = splits_of(config, task);
    splits.emplace_back("all");
    std::vector<BarSeries> series;
    const auto add = [&](const char* metric, const char* name, const char* colour) {
      if (find(task, "all", metric) != nullptr)
        series.push_back(series_of(task, splits, metric, name, colour));
    };
    add("shuffled_iou", "another prompt's shape", "#b4bcc8");
    add("nearest_iou", "nearest training caption", "#e2a95f");
    add("iou", "generated", "#2f6fde");
    add("ceiling_iou", "tokenizer ceiling", "#57a985");
    html += "<h3>" + task_title(config, task) + "</h3>\n<div class=\"panel\">" + bar_chart(splits, series) +
            "</div>\n";
  }
  return html;
}

}  // namespace omni::evaluation
