#include "solid_builder.h"

#include <cmath>
#include <numbers>

namespace omni::data {

using geometry::Vec3;

Primitive& SolidBuilder::add(PrimitiveKind kind, Vec3 centre, Vec3 half, float ratio, int part, Axis axis) {
  Primitive p;
  p.kind = kind;
  p.centre = centre;
  p.half = half;
  p.ratio = ratio;
  p.part = part;
  if (axis == Axis::x) p.axes = {{{0, 1, 0}, {1, 0, 0}, {0, 0, -1}}};
  if (axis == Axis::z) p.axes = {{{1, 0, 0}, {0, 0, 1}, {0, -1, 0}}};
  return primitives_.emplace_back(p);
}

Primitive& SolidBuilder::box(Vec3 centre, Vec3 half, int part) {
  return add(PrimitiveKind::box, centre, half, 0, part, Axis::y);
}
Primitive& SolidBuilder::ellipsoid(Vec3 centre, Vec3 half, int part) {
  return add(PrimitiveKind::ellipsoid, centre, half, 0, part, Axis::y);
}
Primitive& SolidBuilder::ball(Vec3 centre, float radius, int part) {
  return ellipsoid(centre, {radius, radius, radius}, part);
}
Primitive& SolidBuilder::cylinder(Vec3 centre, float radius, float half_length, int part, Axis axis) {
  return add(PrimitiveKind::cylinder, centre, {radius, half_length, radius}, 0, part, axis);
}
Primitive& SolidBuilder::torus(Vec3 centre, float radius, float tube, int part, Axis axis) {
  return add(PrimitiveKind::torus, centre, {radius, tube, radius}, 0, part, axis);
}
Primitive& SolidBuilder::capsule(Vec3 centre, float radius, float half_length, int part, Axis axis) {
  return add(PrimitiveKind::capsule, centre, {radius, half_length, radius}, 0, part, axis);
}
Primitive& SolidBuilder::tube(Vec3 centre, float outer, float inner, float half_length, int part, Axis axis) {
  return add(PrimitiveKind::tube, centre, {outer, half_length, outer}, inner / outer, part, axis);
}
Primitive& SolidBuilder::wedge(Vec3 centre, Vec3 half, float ridge, int part) {
  return add(PrimitiveKind::wedge, centre, half, ridge, part, Axis::y);
}
Primitive& SolidBuilder::block(Section section, Vec3 centre, Vec3 half, int part) {
  return add(section == Section::round ? PrimitiveKind::cylinder : PrimitiveKind::box, centre, half, 0, part,
             Axis::y);
}
Primitive& SolidBuilder::taper(Section section, Vec3 centre, Vec3 half, float ratio, int part) {
  return add(section == Section::round ? PrimitiveKind::frustum : PrimitiveKind::pyramid, centre, half, ratio,
             part, Axis::y);
}
Primitive& SolidBuilder::block_between(Section section, float low, float high, float half_x, float half_z,
                                       int part) {
  return block(section, {0, (low + high) / 2, 0}, {half_x, (high - low) / 2, half_z}, part);
}
Primitive& SolidBuilder::taper_between(Section section, float low, float high, float half_x, float half_z,
                                       float ratio, int part) {
  return taper(section, {0, (low + high) / 2, 0}, {half_x, (high - low) / 2, half_z}, ratio, part);
}

void SolidBuilder::legs(int count, float spread_x, float spread_z, float height, float radius, int part) {
  const auto leg = [&](float x, float z) { cylinder({x, height / 2, z}, radius, height / 2, part); };
  leg(-spread_x, -spread_z);
  leg(spread_x, -spread_z);
  if (count == 3) {
    leg(0, spread_z);
  } else {
    leg(-spread_x, spread_z);
    leg(spread_x, spread_z);
  }
}

void rotate(Primitive& primitive, Axis axis, float degrees) {
  const float angle = degrees * std::numbers::pi_v<float> / 180;
  const float c = std::cos(angle), s = std::sin(angle);
  const int u = axis == Axis::x ? 1 : axis == Axis::y ? 2 : 0;
  const int v = (u + 1) % 3;
  for (Vec3& direction : primitive.axes) {
    const float a = direction[u], b = direction[v];
    direction[u] = c * a - s * b;
    direction[v] = s * a + c * b;
  }
}

}  // namespace omni::data
