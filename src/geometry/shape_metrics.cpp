#include "omni/geometry/shape_metrics.h"

#include <cmath>
#include <vector>

#include "omni/core/error.h"
#include "omni/geometry/surface_points.h"
#include "point_tree.h"

namespace omni::geometry {
namespace {

struct Directed {
  double mean_distance = 0;
  double within_1 = 0, within_2 = 0;  // shares
  double mean_abs_cosine = 0;
};

Directed measure(const SurfacePoints& from, const SurfacePoints& to, double diagonal) {
  const PointTree tree(to.positions);
  Directed result;
  for (std::size_t i = 0; i < from.positions.size(); ++i) {
    const auto nearest = tree.nearest(from.positions[i]);
    const double distance = std::sqrt(double(nearest.squared_distance));
    result.mean_distance += distance;
    result.within_1 += distance < 0.01 * diagonal;
    result.within_2 += distance < 0.02 * diagonal;
    result.mean_abs_cosine += std::abs(dot(from.normals[i], to.normals[nearest.index]));
  }
  const auto count = static_cast<double>(from.positions.size());
  return {result.mean_distance / count, result.within_1 / count, result.within_2 / count,
          result.mean_abs_cosine / count};
}

// The points near a mesh's surface, as a solid.
class SurfaceBand : public SolidField {
 public:
  SurfaceBand(const MeshField& mesh, float half_width) : mesh_(mesh), half_width_(half_width) {}
  void occupancy(std::span<const Vec3> points, std::span<std::uint8_t> inside) const override {
    std::vector<float> distances(points.size());
    mesh_.distance(points, distances);
    for (std::size_t i = 0; i < distances.size(); ++i) inside[i] = distances[i] <= half_width_;
  }
  void colour(std::span<const Vec3> points, std::span<Vec3> colours) const override {
    mesh_.colour(points, colours);
  }

 private:
  const MeshField& mesh_;
  float half_width_;
};

double harmonic_mean(double a, double b) { return a + b > 0 ? 2 * a * b / (a + b) : 0; }

}  // namespace

SurfaceComparison compare_surfaces(const Mesh& candidate, const Mesh& target, std::size_t points,
                                   CounterRng rng) {
  if (points == 0) fail(ErrorKind::usage, "comparing surfaces: at least one point is needed");
  Mesh a = candidate, b = target;
  normalise(a);
  normalise(b);
  const double diagonal = length(b.bounds().extent());
  const SurfacePoints on_a = sample_surface(a, points, rng);
  const SurfacePoints on_b = sample_surface(b, points, rng);
  const Directed precision = measure(on_a, on_b, diagonal);
  const Directed recall = measure(on_b, on_a, diagonal);
  SurfaceComparison result;
  result.chamfer_l1 = (precision.mean_distance + recall.mean_distance) / 2;
  result.f_score_1 = harmonic_mean(precision.within_1, recall.within_1);
  result.f_score_2 = harmonic_mean(precision.within_2, recall.within_2);
  result.normal_consistency = (precision.mean_abs_cosine + recall.mean_abs_cosine) / 2;
  return result;
}

double surface_iou(const MeshField& a, const MeshField& b, int resolution, float half_extent) {
  const float half_diagonal = half_extent / static_cast<float>(resolution) * std::sqrt(3.0f);
  return volume_iou(SurfaceBand(a, half_diagonal), SurfaceBand(b, half_diagonal), resolution, half_extent);
}

double mean_colour_error(const SolidField& field, const SurfacePoints& surface) {
  if (surface.positions.empty()) return 0;
  std::vector<Vec3> colours(surface.positions.size());
  field.colour(surface.positions, colours);
  double sum = 0;
  for (std::size_t i = 0; i < colours.size(); ++i) {
    const Vec3 difference = abs(colours[i] - surface.colours[i]);
    sum += difference.x + difference.y + difference.z;
  }
  return 255.0 * sum / (3.0 * static_cast<double>(colours.size()));
}

}  // namespace omni::geometry
