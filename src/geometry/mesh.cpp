#include "omni/geometry/mesh.h"

#include "omni/core/error.h"

namespace omni::geometry {
namespace {

struct DoubleVector {
  double x, y, z;
  explicit DoubleVector(Vec3 v) : x(v.x), y(v.y), z(v.z) {}
  DoubleVector(double x, double y, double z) : x(x), y(y), z(z) {}
};
DoubleVector operator-(DoubleVector a, DoubleVector b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
DoubleVector cross(DoubleVector a, DoubleVector b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
double dot(DoubleVector a, DoubleVector b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

// Joining a mesh with colours to one without keeps both: the bare one becomes `neutral`.
void join(std::vector<Vec3>& target, std::size_t target_count, const std::vector<Vec3>& source,
          std::size_t source_count, Vec3 neutral) {
  if (target.empty() && source.empty()) return;
  if (target.empty()) target.assign(target_count, neutral);
  if (source.empty()) {
    target.resize(target_count + source_count, neutral);
  } else {
    target.insert(target.end(), source.begin(), source.end());
  }
}

}  // namespace

Bounds Mesh::bounds() const {
  Bounds result;
  for (const Vec3& p : positions) result.include(p);
  return result;
}

double Mesh::surface_area() const {
  double sum = 0;
  for (const auto& t : triangles) {
    const DoubleVector a(positions[t[0]]), b(positions[t[1]]), c(positions[t[2]]);
    const DoubleVector normal = cross(b - a, c - a);
    sum += 0.5 * std::sqrt(dot(normal, normal));
  }
  return sum;
}

double Mesh::signed_volume() const {
  if (positions.empty()) return 0;
  // Measured from a vertex rather than the origin: a far-away mesh would lose its digits otherwise.
  const DoubleVector origin(positions.front());
  double sum = 0;
  for (const auto& t : triangles)
    sum += dot(DoubleVector(positions[t[0]]) - origin,
               cross(DoubleVector(positions[t[1]]) - origin, DoubleVector(positions[t[2]]) - origin));
  return sum / 6;
}

void append(Mesh& target, const Mesh& source) {
  const std::size_t before = target.positions.size();
  if (before + source.positions.size() > UINT32_MAX)
    fail(ErrorKind::input, "cannot join meshes: more than 4,294,967,295 vertices.");
  join(target.colours, before, source.colours, source.positions.size(), {1, 1, 1});
  // There is no neutral normal, so normals survive only where both sides have them.
  if (before == 0) {
    target.normals = source.normals;
  } else if (target.normals.empty() || source.normals.empty()) {
    target.normals.clear();
  } else {
    target.normals.insert(target.normals.end(), source.normals.begin(), source.normals.end());
  }
  target.positions.insert(target.positions.end(), source.positions.begin(), source.positions.end());
  const auto offset = std::uint32_t(before);
  for (const auto& t : source.triangles)
    target.triangles.push_back({t[0] + offset, t[1] + offset, t[2] + offset});
}

Normalisation normalise(Mesh& mesh) {
  const Bounds bounds = mesh.bounds();
  if (bounds.empty()) fail(ErrorKind::input, "cannot normalise a mesh: it has no vertices.");
  const Vec3 extent = bounds.extent();
  const float longest = std::max({extent.x, extent.y, extent.z});
  if (!(longest > 0) || !std::isfinite(longest) || !std::isfinite(kNormalisedLongestSide / longest))
    fail(ErrorKind::input, "cannot normalise a mesh: its bounding box is ", extent.x, " x ", extent.y, " x ",
         extent.z, ". It needs a finite extent above zero.");
  const Normalisation result{bounds.low + extent * 0.5f, kNormalisedLongestSide / longest};
  for (Vec3& p : mesh.positions) p = (p - result.centre) * result.scale;
  return result;
}

}  // namespace omni::geometry
