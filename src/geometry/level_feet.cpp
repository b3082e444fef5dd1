#include "omni/geometry/level_feet.h"

#include <algorithm>
#include <vector>

#include "disjoint_sets.h"

namespace omni::geometry {
namespace {

constexpr float kFootShare = 0.06f, kToleranceShare = 0.03f;  // of the height

}  // namespace

void level_feet(Mesh& mesh) {
  const Bounds bounds = mesh.bounds();
  const float ground = bounds.low.y, height = bounds.extent().y;
  const float foot_height = kFootShare * height, top = ground + foot_height;
  if (!(height > 0)) return;
  const auto is_low = [&](std::uint32_t vertex) { return mesh.positions[vertex].y < top; };

  DisjointSets feet(mesh.positions.size());
  for (const auto& corners : mesh.triangles)
    for (std::size_t i = 0; i < 3; ++i) {
      const std::uint32_t a = corners[i], b = corners[(i + 1) % 3];
      if (is_low(a) && is_low(b)) feet.join(a, b);
    }
  std::vector<float> foot_ends(mesh.positions.size(), top);  // by representative
  const auto count = static_cast<std::uint32_t>(mesh.positions.size());
  for (std::uint32_t vertex = 0; vertex < count; ++vertex)
    if (is_low(vertex)) {
      float& end = foot_ends[feet.find(vertex)];
      end = std::min(end, mesh.positions[vertex].y);
    }
  for (std::uint32_t vertex = 0; vertex < count; ++vertex) {
    if (!is_low(vertex)) continue;
    const float end = foot_ends[feet.find(vertex)];
    if (end <= ground || end - ground > kToleranceShare * height) continue;
    float& y = mesh.positions[vertex].y;
    y = end == y ? ground : top - (top - y) * foot_height / (top - end);
  }
}

}  // namespace omni::geometry
