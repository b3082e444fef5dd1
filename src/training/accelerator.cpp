#include "accelerator.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "omni/core/error.h"

namespace omni::training {
namespace {

struct Known {
  const char* name;
  double peak_tflops, memory_gb, memory_gb_per_second, node_gb_per_second, network_gb_per_second;
};
// By their makers' data sheets, eight in a node; the network: one adapter of 400 Gbit/s (A100: 200) for each GPU.
constexpr std::array<Known, 3> kKnown = {
    {{"a100", 312, 80, 2000, 300, 25}, {"h100", 989, 80, 3350, 450, 50}, {"h200", 989, 141, 4800, 450, 50}}};
constexpr const Known& kUnlessTold = kKnown[1];
// Assumed of each.
constexpr double kUtilisation = 0.4, kHopMicroseconds = 5;
constexpr int kNodeSize = 8;

Accelerator made(const Known& known) {
  return {.name = known.name,
          .peak_tflops = known.peak_tflops,
          .utilisation = kUtilisation,
          .memory_gb = known.memory_gb,
          .memory_gb_per_second = known.memory_gb_per_second,
          .node_size = kNodeSize,
          .node_gb_per_second = known.node_gb_per_second,
          .network_gb_per_second = known.network_gb_per_second,
          .hop_microseconds = kHopMicroseconds};
}

bool is_file(const std::filesystem::path& name) {
  return name.extension() == ".yaml" || name.extension() == ".yml";
}

}  // namespace

void describe(ConfigVisitor& visitor, Accelerator& accelerator) {
  constexpr NumberRange kAmount{.minimum = 1e-6, .maximum = 1e9};
  visitor.number("peak_tflops", accelerator.peak_tflops, kAmount);
  visitor.number("utilisation", accelerator.utilisation, {.minimum = 1e-6, .maximum = 1});
  visitor.number("memory_gb", accelerator.memory_gb, kAmount);
  visitor.number("memory_gb_per_second", accelerator.memory_gb_per_second, kAmount);
  visitor.integer("node_size", accelerator.node_size, {.minimum = 1, .maximum = 1 << 20});
  visitor.number("node_gb_per_second", accelerator.node_gb_per_second, kAmount);
  visitor.number("network_gb_per_second", accelerator.network_gb_per_second, kAmount);
  visitor.number("hop_microseconds", accelerator.hop_microseconds, {.minimum = 0, .maximum = 1e9});
}

std::vector<std::string> accelerator_names() {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.emplace_back(known.name);
  return names;
}

Accelerator find_accelerator(const std::string& name_or_file) {
  std::string names;
  for (const Known& known : kKnown) {
    if (known.name == name_or_file) return made(known);
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  if (!is_file(name_or_file))
    fail(ErrorKind::usage, "there are no figures of the GPU '", name_or_file, "'. Those known are ", names,
         "; others are described in a YAML file (docs/scaling.md)");
  Accelerator accelerator = made(kUnlessTold);
  accelerator.name = std::filesystem::path(name_or_file).stem().string();
  ConfigFile::load(name_or_file).read([&](ConfigVisitor& visitor) { describe(visitor, accelerator); });
  return accelerator;
}

}  // namespace omni::training
