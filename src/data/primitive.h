#pragma once

#include <array>
#include <cstdint>

#include "omni/geometry/mesh.h"

namespace omni::data {

// A solid building block. `half` and `ratio` are in the primitive's own frame, whose axis is Y:
//   box           half sizes
//   ellipsoid     semi-axes
//   cylinder      elliptic; semi-axes x and z, half height y
//   frustum       as cylinder at the bottom (-y); the top is `ratio` times as wide (0: a pointed cone)
//   pyramid       as frustum with a rectangular section
//   torus         x = z: radius of the centre line, y: radius of the tube
//   capsule       x = z: radius, y: half of the whole length
//   tube          outer radius x = z, half height y, inner radius ratio * x
//   wedge         prism along z over the triangle (-x, -y), (x, -y), (ratio * x, y)
enum class PrimitiveKind : std::uint8_t {
  box,
  ellipsoid,
  cylinder,
  frustum,
  pyramid,
  torus,
  capsule,
  tube,
  wedge
};

struct Primitive {
  PrimitiveKind kind = PrimitiveKind::box;
  geometry::Vec3 centre;
  geometry::Vec3 half{0.5f, 0.5f, 0.5f};
  float ratio = 0;
  int part = 0;
  // Directions of the primitive's own x, y, z in the object's frame: a rotation.
  std::array<geometry::Vec3, 3> axes{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};

  geometry::Vec3 to_local(geometry::Vec3 p) const {
    const geometry::Vec3 d = p - centre;
    return {dot(d, axes[0]), dot(d, axes[1]), dot(d, axes[2])};
  }
  geometry::Vec3 to_object(geometry::Vec3 p) const {
    return centre + axes[0] * p.x + axes[1] * p.y + axes[2] * p.z;
  }
};

// The smallest axis-aligned box around the exact solid.
geometry::Bounds primitive_bounds(const Primitive& primitive);
// Negative inside, exactly zero on the surface; away from it a close estimate of the distance (exact for
// boxes, circular cylinders, tori, capsules and tubes).
float signed_distance(const Primitive& primitive, geometry::Vec3 point);
// The thinnest extent that the primitive has in any direction; a cone's tip does not count.
float thinnest_extent(const Primitive& primitive);

// A closed, manifold, outward-oriented triangle mesh with 24 segments around, appended with one colour.
void append_primitive_mesh(const Primitive& primitive, geometry::Vec3 colour, geometry::Mesh& mesh);

}  // namespace omni::data
