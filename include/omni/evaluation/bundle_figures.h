#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "omni/evaluation/summary.h"

namespace omni::evaluation {

// What a model reached when it was last measured: its bundle's figures.json, which travels with it.
struct BundleFigure {
  std::string task, setting, metric;
  double mean = 0, low = 0, high = 0;  // with its 95 % interval, over all splits
  std::int64_t count = 0;              // of objects

  friend bool operator==(const BundleFigure&, const BundleFigure&) = default;
};

// Of one of a sweep's bundles: the figures that say how good it is, in the order of the sweep.
std::vector<BundleFigure> figures_of(const SweepSummary& summary, const std::string& bundle);
// Replaces the file. Throws Error(io).
void write_bundle_figures(const std::filesystem::path& bundle, const std::vector<BundleFigure>& figures);
// Empty where the bundle was never measured. Throws Error(io), and Error(input) for anything else than
// write_bundle_figures() writes.
std::vector<BundleFigure> read_bundle_figures(const std::filesystem::path& bundle);

}  // namespace omni::evaluation
