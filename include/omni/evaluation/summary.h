#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "omni/evaluation/bootstrap.h"
#include "omni/evaluation/result_log.h"
#include "omni/evaluation/sweep_config.h"

namespace omni::evaluation {

// Means of one bundle, task and setting. Objects are the independent units: their values over seeds are
// averaged before the bootstrap.
struct TaskSummary {
  std::string bundle, task, setting;
  // Split ("all" for every split together) -> metric -> mean with interval. Controls of the same objects
  // stand beside the task's own metrics: nearest_iou, ceiling_iou, reader_class, image_psnr_db, ...
  std::map<std::string, std::map<std::string, MeanInterval>> splits;
};

struct SweepSummary {
  std::vector<TaskSummary> tasks;  // in the sweep's order: bundle, task, setting
  double seconds = 0;              // of all units
};

// A pure function of its arguments.
SweepSummary summarise(const SweepConfig& config, const std::vector<UnitResult>& units);

// summary.json: one figure per key for scripts (text_to_shape_iou, shuffled_iou, ...: first bundle and
// setting; null where it was not measured), and under "details" everything with intervals and splits.
std::string summary_json(const SweepConfig& config, const SweepSummary& summary);
// results.csv: one row per sample.
std::string results_csv(const std::vector<UnitResult>& units);

}  // namespace omni::evaluation
