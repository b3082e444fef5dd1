#pragma once

#include <string>

#include "omni/evaluation/summary.h"

namespace omni::evaluation {

// The sections of figures of the report page.

// Of the first bundle and setting, which they name where there are several.
std::string headline_cards(const SweepConfig& config, const SweepSummary& summary);
// One table, a row per task, setting and bundle; "" where a task has one row alone.
std::string comparison_table(const SweepConfig& config, const SweepSummary& summary);
// One table per bundle, task and setting, a row per split.
std::string task_tables(const SweepConfig& config, const SweepSummary& summary);
// The same for the controls of the task's objects.
std::string control_tables(const SweepConfig& config, const SweepSummary& summary);
// Bars of the volume IoU per split between its controls; "" without text->shape.
std::string control_charts(const SweepConfig& config, const SweepSummary& summary);

}  // namespace omni::evaluation
