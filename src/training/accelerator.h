#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "omni/core/config.h"

namespace omni::training {

// What the time of a step depends on: a device that computes, of which each rank has one, and its links.
struct Accelerator {
  std::string name;
  double peak_tflops = 0;  // 10^12 operations a second, dense bf16
  double utilisation = 0;  // share of the peak that forward and backward passes reach
  double memory_gb = 0;    // 10^9 bytes, of each
  double memory_gb_per_second = 0;
  int node_size = 1;                 // that see each other directly
  double node_gb_per_second = 0;     // of each, one way, within a node
  double network_gb_per_second = 0;  // of each, one way, between nodes
  double hop_microseconds = 0;       // that a message takes from rank to rank, whatever its size

  double operations_per_second() const { return 1e12 * peak_tflops * utilisation; }
};
void describe(ConfigVisitor& visitor, Accelerator& accelerator);  // all but the name

std::vector<std::string> accelerator_names();
// One of those names, or a YAML file (a name that ends with .yaml or .yml), whose absent keys are those of an H100. Throws
// Error(usage), which tells all names, and as ConfigFile::load does.
Accelerator find_accelerator(const std::string& name_or_file);

}  // namespace omni::training
