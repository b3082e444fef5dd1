#include "omni/geometry/surface_points.h"

#include <algorithm>

#include "linear_colour.h"
#include "omni/core/error.h"
#include "omni/image/image.h"

namespace omni::geometry {
namespace {

constexpr Vec3 kGrey{0.7f, 0.7f, 0.7f};

Vec3 to_srgb(Vec3 c) {
  return {image::linear_to_srgb(c.x), image::linear_to_srgb(c.y), image::linear_to_srgb(c.z)};
}

Vec3 mix_colours(Vec3 a, Vec3 b, Vec3 c, Vec3 weights) {
  if (a == b && b == c) return a;
  return to_srgb(to_linear(a) * weights.x + to_linear(b) * weights.y + to_linear(c) * weights.z);
}

// Along the normal, with twice the area as its length.
Vec3 area_vector(const Mesh& mesh, const std::array<std::uint32_t, 3>& t) {
  const Vec3 a = mesh.positions[t[0]];
  return cross(mesh.positions[t[1]] - a, mesh.positions[t[2]] - a);
}

}  // namespace

SurfacePoints sample_surface(const Mesh& mesh, std::size_t count, CounterRng& rng) {
  std::vector<double> cumulative(mesh.triangles.size());
  double total = 0;
  for (std::size_t i = 0; i < mesh.triangles.size(); ++i) {
    total += length(area_vector(mesh, mesh.triangles[i]));
    cumulative[i] = total;
  }
  if (!(total > 0) || !std::isfinite(total))
    fail(ErrorKind::input, "cannot sample a surface: the mesh has no area.");

  SurfacePoints points;
  points.positions.reserve(count);
  points.normals.reserve(count);
  points.colours.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double at = rng.uniform() * total;
    const std::size_t face =
        std::min<std::size_t>(std::upper_bound(cumulative.begin(), cumulative.end(), at) - cumulative.begin(),
                              cumulative.size() - 1);
    // Osada et al., "Shape distributions", ACM TOG 2002: uniform in the triangle.
    const auto root = float(std::sqrt(rng.uniform()));
    const auto second = float(rng.uniform());
    const Vec3 weights{1 - root, root * (1 - second), root * second};
    const auto& t = mesh.triangles[face];
    points.positions.push_back(mesh.positions[t[0]] * weights.x + mesh.positions[t[1]] * weights.y +
                               mesh.positions[t[2]] * weights.z);
    points.normals.push_back(normalised(area_vector(mesh, t)));
    points.colours.push_back(mesh.colours.empty() ? kGrey
                                                  : mix_colours(mesh.colours[t[0]], mesh.colours[t[1]],
                                                                mesh.colours[t[2]], weights));
  }
  return points;
}

}  // namespace omni::geometry
