#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "primitive.h"

namespace omni::data {
namespace {

using geometry::Mesh;
using geometry::Vec3;

constexpr int kSegments = 24;

// Adds vertices and triangles of one primitive; indices are relative to its first vertex.
class Tessellator {
 public:
  Tessellator(const Primitive& primitive, Vec3 colour, Mesh& mesh)
      : primitive_(primitive),
        colour_(colour),
        mesh_(mesh),
        first_(static_cast<std::uint32_t>(mesh.positions.size())) {}

  int vertex(Vec3 local) {
    mesh_.positions.push_back(primitive_.to_object(local));
    mesh_.colours.push_back(colour_);
    return static_cast<int>(mesh_.positions.size() - 1 - first_);
  }
  void triangle(int a, int b, int c) {
    mesh_.triangles.push_back({first_ + static_cast<std::uint32_t>(a), first_ + static_cast<std::uint32_t>(b),
                               first_ + static_cast<std::uint32_t>(c)});
  }
  void quad(int a, int b, int c, int d) {
    triangle(a, b, c);
    triangle(a, c, d);
  }
  // A ring of kSegments vertices at height y, starting at +x and turning towards -z (counter-clockwise from
  // above).
  int ring(float rx, float y, float rz) {
    const int start = static_cast<int>(mesh_.positions.size() - first_);
    for (int i = 0; i < kSegments; ++i) {
      const double angle = 2 * std::numbers::pi * i / kSegments;
      // Exact at the axes, so that bounding boxes are.
      const float c = i % 12 == 6 ? 0.0f : static_cast<float>(std::cos(angle));
      const float s = i % 12 == 0 ? 0.0f : static_cast<float>(std::sin(angle));
      vertex({rx * c, y, -rz * s});
    }
    return start;
  }
  void band(int lower, int upper) {  // faces away from the axis
    for (int i = 0; i < kSegments; ++i) {
      const int j = (i + 1) % kSegments;
      quad(lower + i, lower + j, upper + j, upper + i);
    }
  }
  void fan_up(int ring_start, int apex) {
    for (int i = 0; i < kSegments; ++i) triangle(ring_start + i, ring_start + (i + 1) % kSegments, apex);
  }
  void fan_down(int ring_start, int apex) {
    for (int i = 0; i < kSegments; ++i) triangle(ring_start + (i + 1) % kSegments, ring_start + i, apex);
  }

 private:
  const Primitive& primitive_;
  Vec3 colour_;
  Mesh& mesh_;
  std::uint32_t first_;
};

// A frustum with a rectangular section; scale 1 is a box, 0 a pyramid.
void add_block(Tessellator& t, Vec3 h, float scale) {
  const int a = t.vertex({-h.x, -h.y, h.z}), b = t.vertex({h.x, -h.y, h.z});
  const int c = t.vertex({h.x, -h.y, -h.z}), d = t.vertex({-h.x, -h.y, -h.z});
  t.quad(a, d, c, b);
  if (scale <= 0) {
    const int apex = t.vertex({0, h.y, 0});
    t.triangle(a, b, apex);
    t.triangle(b, c, apex);
    t.triangle(c, d, apex);
    t.triangle(d, a, apex);
    return;
  }
  const float x = h.x * scale, z = h.z * scale;
  const int e = t.vertex({-x, h.y, z}), f = t.vertex({x, h.y, z}), g = t.vertex({x, h.y, -z}),
            i = t.vertex({-x, h.y, -z});
  t.quad(e, f, g, i);
  t.quad(a, b, f, e);
  t.quad(b, c, g, f);
  t.quad(c, d, i, g);
  t.quad(d, a, e, i);
}

void add_round(Tessellator& t, Vec3 h, float scale) {
  const int bottom = t.ring(h.x, -h.y, h.z);
  t.fan_down(bottom, t.vertex({0, -h.y, 0}));
  if (scale <= 0) {
    t.fan_up(bottom, t.vertex({0, h.y, 0}));
    return;
  }
  const int top = t.ring(h.x * scale, h.y, h.z * scale);
  t.band(bottom, top);
  t.fan_up(top, t.vertex({0, h.y, 0}));
}

// A surface of revolution through (radius, y) pairs between two poles.
void add_turned(Tessellator& t, Vec3 radii, float pole, std::span<const std::array<float, 2>> profile) {
  int previous = -1;
  for (const auto& [radius, y] : profile) {
    const int ring = t.ring(radius * radii.x, y, radius * radii.z);
    if (previous < 0)
      t.fan_down(ring, t.vertex({0, -pole, 0}));
    else
      t.band(previous, ring);
    previous = ring;
  }
  t.fan_up(previous, t.vertex({0, pole, 0}));
}

void add_ellipsoid(Tessellator& t, Vec3 h) {
  constexpr int kRings = 12;
  std::vector<std::array<float, 2>> profile;
  for (int i = 1; i < kRings; ++i) {
    const double angle = std::numbers::pi * (static_cast<double>(i) / kRings - 0.5);
    profile.push_back({static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle)) * h.y});
  }
  add_turned(t, h, h.y, profile);
}

void add_capsule(Tessellator& t, Vec3 h) {
  constexpr int kRings = 6;  // per half sphere
  const float straight = h.y - h.x;
  std::vector<std::array<float, 2>> profile;
  for (int side = -1; side <= 1; side += 2)
    for (int i = side < 0 ? 1 : 0; i < (side < 0 ? kRings + 1 : kRings); ++i) {
      const double angle = std::numbers::pi / 2 *
                           (side < 0 ? static_cast<double>(i) / kRings - 1 : static_cast<double>(i) / kRings);
      profile.push_back({static_cast<float>(std::cos(angle)),
                         static_cast<float>(std::sin(angle)) * h.x + static_cast<float>(side) * straight});
    }
  if (straight <= 0) profile.erase(profile.begin() + kRings);
  add_turned(t, h, h.y, profile);
}

void add_torus(Tessellator& t, Vec3 h) {
  constexpr int kAround = 12;
  std::vector<int> rings;
  for (int i = 0; i < kAround; ++i) {
    const double angle = 2 * std::numbers::pi * i / kAround;
    const float radius = h.x + h.y * static_cast<float>(std::cos(angle));
    rings.push_back(t.ring(radius, h.y * static_cast<float>(std::sin(angle)), radius));
  }
  for (int i = 0; i < kAround; ++i) t.band(rings[i], rings[(i + 1) % kAround]);
}

void add_tube(Tessellator& t, Vec3 h, float ratio) {
  const float inner = h.x * ratio;
  const int ob = t.ring(h.x, -h.y, h.x), ot = t.ring(h.x, h.y, h.x);
  const int it = t.ring(inner, h.y, inner), ib = t.ring(inner, -h.y, inner);
  t.band(ob, ot);
  t.band(ot, it);
  t.band(it, ib);
  t.band(ib, ob);
}

void add_wedge(Tessellator& t, Vec3 h, float ratio) {
  const float apex = ratio * h.x;
  const int a = t.vertex({-h.x, -h.y, h.z}), b = t.vertex({h.x, -h.y, h.z}), c = t.vertex({apex, h.y, h.z});
  const int d = t.vertex({-h.x, -h.y, -h.z}), e = t.vertex({h.x, -h.y, -h.z}),
            f = t.vertex({apex, h.y, -h.z});
  t.triangle(a, b, c);
  t.triangle(d, f, e);
  t.quad(a, d, e, b);
  t.quad(b, e, f, c);
  t.quad(a, c, f, d);
}

}  // namespace

void append_primitive_mesh(const Primitive& primitive, Vec3 colour, Mesh& mesh) {
  Tessellator t(primitive, colour, mesh);
  const Vec3 h = primitive.half;
  switch (primitive.kind) {
    case PrimitiveKind::box:
      return add_block(t, h, 1);
    case PrimitiveKind::pyramid:
      return add_block(t, h, primitive.ratio);
    case PrimitiveKind::cylinder:
      return add_round(t, h, 1);
    case PrimitiveKind::frustum:
      return add_round(t, h, primitive.ratio);
    case PrimitiveKind::ellipsoid:
      return add_ellipsoid(t, h);
    case PrimitiveKind::capsule:
      return add_capsule(t, h);
    case PrimitiveKind::torus:
      return add_torus(t, h);
    case PrimitiveKind::tube:
      return add_tube(t, h, primitive.ratio);
    case PrimitiveKind::wedge:
      return add_wedge(t, h, primitive.ratio);
  }
}

}  // namespace omni::data
