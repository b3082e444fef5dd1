#include "surface_distance.h"

#include <algorithm>
#include <cmath>

#include "omni/geometry/mesh_field.h"

namespace omni::training {
namespace {

using geometry::Vec3;

constexpr float kLongestEdge = 0.06f;  // of a triangle that is judged as a whole
constexpr float kBesides = 2e-3f;      // how far from it its sides are looked at
constexpr std::size_t kMaximumTriangles = 200'000;

using Face = std::array<Vec3, 3>;

// Halves the longest edge until all are short.
void divide(Face face, std::size_t most, std::vector<Face>& out) {
  std::vector<Face> pending = {face};
  while (!pending.empty()) {
    const Face f = pending.back();
    pending.pop_back();
    std::size_t longest = 0;
    float length_squared = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      const Vec3 edge = f[(i + 1) % 3] - f[i];
      if (dot(edge, edge) <= length_squared) continue;
      length_squared = dot(edge, edge);
      longest = i;
    }
    if (!(length_squared > kLongestEdge * kLongestEdge) || out.size() + pending.size() >= most) {
      out.push_back(f);
      continue;
    }
    const Vec3 a = f[longest], b = f[(longest + 1) % 3], c = f[(longest + 2) % 3], middle = (a + b) * 0.5f;
    pending.push_back({a, middle, c});
    pending.push_back({middle, b, c});
  }
}

geometry::Mesh scaled(const geometry::Mesh& mesh, Vec3 scale) {
  geometry::Mesh result{mesh.positions, mesh.triangles, {}, {}};
  for (Vec3& p : result.positions) p = p * scale;
  return result;
}

}  // namespace

geometry::Mesh visible_surface(const geometry::Mesh& mesh, const geometry::SolidField& field) {
  std::vector<Face> faces;
  const std::size_t most = std::max(kMaximumTriangles, mesh.triangles.size());
  for (const auto& t : mesh.triangles)
    divide({mesh.positions[t[0]], mesh.positions[t[1]], mesh.positions[t[2]]}, most, faces);
  std::vector<Vec3> sides;
  for (const Face& f : faces) {
    const Vec3 centre = (f[0] + f[1] + f[2]) / 3.0f;
    const Vec3 normal = geometry::normalised(cross(f[1] - f[0], f[2] - f[0]));
    sides.push_back(centre + normal * kBesides);
    sides.push_back(centre - normal * kBesides);
  }
  std::vector<std::uint8_t> inside(sides.size());
  field.occupancy(sides, inside);
  geometry::Mesh visible;
  for (std::size_t i = 0; i < faces.size(); ++i) {
    if (inside[2 * i] != 0 && inside[2 * i + 1] != 0) continue;
    const auto base = static_cast<std::uint32_t>(visible.positions.size());
    visible.positions.insert(visible.positions.end(), faces[i].begin(), faces[i].end());
    visible.triangles.push_back({base, base + 1, base + 2});
  }
  return visible;
}

std::vector<float> signed_distances(const data::ObjectRecord& record, Vec3 scale,
                                    std::span<const Vec3> points, std::span<const std::uint8_t> inside) {
  std::vector<float> distances(points.size());
  const auto* labelled = dynamic_cast<const geometry::MeshField*>(record.field.get());
  if (labelled != nullptr && scale == Vec3{1, 1, 1}) {
    labelled->signed_distance(points, distances);
  } else if (labelled != nullptr) {
    const geometry::MeshField field(scaled(record.mesh, scale),
                                    {.mode = labelled->chosen_mode(), .epsilon = labelled->epsilon()});
    field.signed_distance(points, distances);
  } else {
    const geometry::Mesh visible = scaled(visible_surface(record.mesh, *record.field), scale);
    geometry::MeshField(visible, {.mode = geometry::LabelMode::winding}).distance(points, distances);
  }
  for (std::size_t i = 0; i < distances.size(); ++i)
    distances[i] = inside[i] != 0 ? std::abs(distances[i]) : -std::abs(distances[i]);
  return distances;
}

}  // namespace omni::training
