#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "primitive.h"

namespace omni::data {

enum class Axis { x, y, z };
// A section that is a circle (cylinder, cone) or a rectangle (box, pyramid).
enum class Section { round, square };

// Collects primitives in a class's own frame: any unit, Y up, front +Z. Every function returns the new
// primitive, valid until the next call.
class SolidBuilder {
 public:
  using Vec3 = geometry::Vec3;

  Primitive& box(Vec3 centre, Vec3 half, int part);
  Primitive& ellipsoid(Vec3 centre, Vec3 half, int part);
  Primitive& ball(Vec3 centre, float radius, int part);
  Primitive& cylinder(Vec3 centre, float radius, float half_length, int part, Axis axis = Axis::y);
  Primitive& torus(Vec3 centre, float radius, float tube, int part, Axis axis = Axis::y);
  Primitive& capsule(Vec3 centre, float radius, float half_length, int part, Axis axis = Axis::y);
  Primitive& tube(Vec3 centre, float outer, float inner, float half_length, int part, Axis axis = Axis::y);
  // Gable or ramp: the ridge runs along z, at x = ridge * half.x.
  Primitive& wedge(Vec3 centre, Vec3 half, float ridge, int part);
  // An upright block of either section.
  Primitive& block(Section section, Vec3 centre, Vec3 half, int part);
  // Narrowing upwards (ratio < 1) or widening, of either section.
  Primitive& taper(Section section, Vec3 centre, Vec3 half, float ratio, int part);
  // The same between two heights.
  Primitive& block_between(Section section, float low, float high, float half_x, float half_z, int part);
  Primitive& taper_between(Section section, float low, float high, float half_x, float half_z, float ratio,
                           int part);
  // Round or square legs under the corners of a top; three stand as a triangle with its tip at the front.
  void legs(int count, float spread_x, float spread_z, float height, float radius, int part);

  std::vector<Primitive>& primitives() { return primitives_; }

 private:
  Primitive& add(PrimitiveKind kind, Vec3 centre, Vec3 half, float ratio, int part, Axis axis);
  std::vector<Primitive> primitives_;
};

// Turns a primitive about an axis through its centre, counter-clockwise seen from the axis's tip.
void rotate(Primitive& primitive, Axis axis, float degrees);

}  // namespace omni::data
