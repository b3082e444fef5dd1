#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace omni::evaluation {

// What a run's metrics.jsonl tells, as curves over its steps.

// One number of the run, at the points whose lines tell it.
struct MetricCurve {
  std::vector<std::size_t> points;  // places among RunCurves::steps, ascending
  std::vector<double> values;       // one per point; not-a-number where the run wrote null
};

struct RunCurves {
  std::string stage;                           // empty: no line names one
  std::vector<double> steps;                   // ascending, each once
  std::map<std::string, MetricCurve> metrics;  // every number but "step", by its name in the file
  std::size_t broken_lines = 0;                // no JSON object with a step: passed over
  std::size_t repeated_steps = 0;              // told again by a resumed run: the later lines count

  // Null where no line tells it.
  const MetricCurve* find(const std::string& metric) const;
  // Of a number that only grows with the steps, from 0 at step 0: its value at every point, on the straight line
  // between the lines that tell it; not-a-number after the last of them and where there is none.
  std::vector<double> at_every_point(const std::string& metric) const;
};

// Lines of one step are one point (those of training and of validation); a line that goes back in steps, or
// tells a number of its step again, takes the place of what was told from that step on.
RunCurves parse_run_curves(std::string_view lines);
RunCurves read_run_curves(const std::filesystem::path& path);  // throws Error(io)

// Of the finite values; 0 where there are none.
double median(const MetricCurve& curve);

}  // namespace omni::evaluation
