#pragma once

#include "embree.h"
#include "omni/geometry/mesh_field.h"

namespace omni::geometry {

// Nearest points on a triangle mesh, by Embree's bounding-volume hierarchy. Thread-safe; copies the mesh's
// surface.
class ClosestPointTree {
 public:
  explicit ClosestPointTree(const Mesh& mesh);

  ClosestPoint closest(Vec3 point) const;
  bool any_within(Vec3 point, float distance) const;

 private:
  std::vector<Vec3> positions_;
  std::vector<std::array<std::uint32_t, 3>> triangles_;
  EmbreeScene scene_;
};

// The point of triangle (a, b, c) nearest to p, as barycentric weights (Ericson, "Real-Time Collision
// Detection", 2005, section 5.1.5).
Vec3 closest_weights(Vec3 p, Vec3 a, Vec3 b, Vec3 c);

}  // namespace omni::geometry
