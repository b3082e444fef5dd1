#pragma once

#include <string>
#include <utility>
#include <vector>

#include "omni/evaluation/run_curves.h"

namespace omni::evaluation {

// Runs drawn beside each other.

struct PlottedRun {
  std::string name;
  RunCurves curves;
};

enum class PlotAxis { steps, tokens, hours };

struct PlotOptions {
  PlotAxis axis = PlotAxis::steps;
  // 0 .. below 1: the weight of what came before in the exponential mean of a line (the values as they are stay
  // behind it, faint).
  double smoothing = 0;
};

// What of a run is not drawn as its file tells it, in words: lines that were passed over, steps that were taken
// again, values that are no numbers, no steps at all, an axis that it does not tell.
std::vector<std::string> remarks(const RunCurves& curves, PlotAxis axis);

// A self-contained page: a table of the runs, and a chart of every number that one of them tells.
std::string run_plot_page(const std::vector<PlottedRun>& runs, const PlotOptions& options);
// The same charts as SVG files: name, ending in ".svg" and each once, and text.
std::vector<std::pair<std::string, std::string>> run_plot_pictures(const std::vector<PlottedRun>& runs,
                                                                   const PlotOptions& options);

// Whether a file of this name and text is such a picture, of these or of other runs.
bool is_run_plot_picture(std::string_view name, std::string_view text);

// The mean of the finite values so far, where each step back weighs `weight` less; not-a-number stays.
std::vector<double> smoothed(const std::vector<double>& values, double weight);

}  // namespace omni::evaluation
