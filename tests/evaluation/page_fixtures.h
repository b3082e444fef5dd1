#pragma once

#include <cmath>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <string>
#include <vector>

#include "omni/evaluation/report.h"
#include "omni/evaluation/summary.h"
#include "omni/geometry/mesh.h"
#include "sample_files.h"

namespace omni::evaluation::testing {

// A closed ball of unit radius in `detail` rings.
inline geometry::Mesh ball(int detail, geometry::Vec3 colour) {
  geometry::Mesh mesh;
  const auto pi = std::numbers::pi_v<float>;
  const auto n = static_cast<std::uint32_t>(detail);
  mesh.positions.push_back({0, 1, 0});
  for (std::uint32_t ring = 1; ring < n; ++ring) {
    for (std::uint32_t step = 0; step < n; ++step) {
      const float down = pi * static_cast<float>(ring) / static_cast<float>(n);
      const float around = 2 * pi * static_cast<float>(step) / static_cast<float>(n);
      mesh.positions.push_back(
          {std::sin(down) * std::sin(around), std::cos(down), std::sin(down) * std::cos(around)});
    }
  }
  mesh.positions.push_back({0, -1, 0});
  const auto last = static_cast<std::uint32_t>(mesh.positions.size() - 1);
  const auto at = [n](std::uint32_t ring, std::uint32_t step) { return 1 + (ring - 1) * n + step % n; };
  for (std::uint32_t step = 0; step < n; ++step) {
    mesh.triangles.push_back({0, at(1, step), at(1, step + 1)});
    for (std::uint32_t ring = 1; ring + 1 < n; ++ring) {
      mesh.triangles.push_back({at(ring, step), at(ring + 1, step), at(ring + 1, step + 1)});
      mesh.triangles.push_back({at(ring, step), at(ring + 1, step + 1), at(ring, step + 1)});
    }
    mesh.triangles.push_back({last, at(n - 1, step + 1), at(n - 1, step)});
  }
  mesh.colours.assign(mesh.positions.size(), colour);
  return mesh;
}

// A finished sweep of two settings over two splits, with figures, pictures and meshes that were made up.
struct MadeUpSweep {
  SweepConfig config;
  std::vector<UnitResult> units;

  explicit MadeUpSweep(const std::filesystem::path& output) {
    config.title = "A sweep";
    config.bundles = {{"tiny", "bundle"}};
    config.splits = {"new_instance", "unseen_colour"};
    config.tasks = {{.name = "text->shape"}};
    config.settings = {{.name = "greedy", .temperature = 0}, {.name = "warm", .temperature = 0.7}};
    config.metrics = {(output / "metrics.jsonl").string()};
    const SampleFiles files(output, 64);
    for (const SweepSetting& setting : config.settings) {
      const bool first = units.empty();
      UnitResult unit{.key = setting.name, .bundle = "tiny", .task = "text->shape", .setting = setting.name};
      unit.seed = 1;
      for (int i = 0; i < 4; ++i) {
        SampleResult sample;
        sample.object = "ball-" + std::to_string(i);
        sample.split = config.splits[static_cast<std::size_t>(i % 2)];
        sample.prompt = "a rather long prompt of a red ball, number " + std::to_string(i);
        // The first setting is better by IoU, the second by the distance; the rest is the same.
        sample.metrics = {{"iou", (first ? 0.8 : 0.5) + 0.02 * i},
                          {"cd", (first ? 0.06 : 0.04) + 0.001 * i},
                          {"class", 1},
                          {"ceiling_iou", 0.9},
                          {"shuffled_iou", 0.2},
                          {"nearest_iou", 0.6}};
        if (first) {
          const geometry::Mesh mesh = ball(16 + 4 * i, {0.8f, 0.1f, 0.1f});
          sample.pictures = {{"generated", files.save_strip(sample.object, mesh)},
                             {"mesh", files.save_mesh(sample.object, mesh)}};
        }
        unit.samples.push_back(sample);
      }
      units.push_back(unit);
    }
    std::ofstream metrics(output / "metrics.jsonl");
    for (int step = 1; step <= 600; ++step)
      metrics << "{\"stage\":\"pretrain\",\"step\":" << 20 * step << ",\"loss\":" << 1 + 4.0 / step
              << ",\"seconds\":" << step << ",\"tokens_per_second\":1000}\n";
  }

  std::string page(const std::filesystem::path& output) const {
    return report_html(config, units, summarise(config, units), output);
  }
};

}  // namespace omni::evaluation::testing
