#include "primitive_solid.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "omni/core/error.h"

namespace omni::data {
namespace {

using geometry::Bounds;
using geometry::Vec3;

constexpr int kBlock = 256;

// A block of points as separate coordinates. The loops below run over the whole block, a constant, so that
// the compiler turns them into vector code.
struct Block {
  alignas(64) float x[kBlock], y[kBlock], z[kBlock];
};

void to_local(const Primitive& s, const Block& in, Block& out) {
  const Vec3 c = s.centre, u = s.axes[0], v = s.axes[1], w = s.axes[2];
  for (int i = 0; i < kBlock; ++i) {
    const float x = in.x[i] - c.x, y = in.y[i] - c.y, z = in.z[i] - c.z;
    out.x[i] = u.x * x + u.y * y + u.z * z;
    out.y[i] = v.x * x + v.y * y + v.z * z;
    out.z[i] = w.x * x + w.y * y + w.z * z;
  }
}

template <class Test>
void mark(const Block& p, std::uint8_t* inside, Test test) {
  for (int i = 0; i < kBlock; ++i)
    inside[i] =
        static_cast<std::uint8_t>(inside[i] | static_cast<std::uint8_t>(test(p.x[i], p.y[i], p.z[i])));
}

void mark_inside(const Primitive& s, const Block& p, std::uint8_t* inside) {
  const Vec3 h = s.half;
  const float ix = 1 / h.x, iy = 1 / h.y, iz = 1 / h.z, ratio = s.ratio;
  const float grow = (ratio - 1) * 0.5f * iy;
  switch (s.kind) {
    case PrimitiveKind::box:
      return mark(p, inside, [=](float x, float y, float z) {
        return int(std::abs(x) <= h.x) & int(std::abs(y) <= h.y) & int(std::abs(z) <= h.z);
      });
    case PrimitiveKind::ellipsoid:
      return mark(p, inside, [=](float x, float y, float z) {
        return int(x * x * ix * ix + y * y * iy * iy + z * z * iz * iz <= 1);
      });
    case PrimitiveKind::cylinder:
      return mark(p, inside, [=](float x, float y, float z) {
        return int(x * x * ix * ix + z * z * iz * iz <= 1) & int(std::abs(y) <= h.y);
      });
    case PrimitiveKind::frustum:
      return mark(p, inside, [=](float x, float y, float z) {
        const float scale = 1 + grow * (y + h.y);
        return int(x * x * ix * ix + z * z * iz * iz <= scale * scale) & int(std::abs(y) <= h.y);
      });
    case PrimitiveKind::pyramid:
      return mark(p, inside, [=](float x, float y, float z) {
        const float scale = 1 + grow * (y + h.y);
        return int(std::abs(x) * ix <= scale) & int(std::abs(z) * iz <= scale) & int(std::abs(y) <= h.y);
      });
    case PrimitiveKind::torus:
      return mark(p, inside, [=](float x, float y, float z) {
        const float q = std::sqrt(x * x + z * z) - h.x;
        return int(q * q + y * y <= h.y * h.y);
      });
    case PrimitiveKind::capsule:
      return mark(p, inside, [=, straight = h.y - h.x](float x, float y, float z) {
        const float q = std::max(std::abs(y) - straight, 0.0f);
        return int(x * x + q * q + z * z <= h.x * h.x);
      });
    case PrimitiveKind::tube:
      return mark(p, inside, [=](float x, float y, float z) {
        const float q = x * x + z * z;
        return int(q <= h.x * h.x) & int(q >= ratio * ratio * h.x * h.x) & int(std::abs(y) <= h.y);
      });
    case PrimitiveKind::wedge:
      return mark(p, inside, [=](float x, float y, float z) {
        const float t = (y + h.y) * 0.5f * iy;  // 0 at the base, 1 at the ridge
        return int(t >= 0) & int(x >= -h.x + t * (ratio + 1) * h.x) & int(x <= h.x - t * (1 - ratio) * h.x) &
               int(std::abs(z) <= h.z);
      });
  }
}

bool overlap(const Bounds& a, const Bounds& b) {
  return a.low.x <= b.high.x && a.high.x >= b.low.x && a.low.y <= b.high.y && a.high.y >= b.low.y &&
         a.low.z <= b.high.z && a.high.z >= b.low.z;
}

}  // namespace

PrimitiveSolid::PrimitiveSolid(std::vector<Primitive> primitives, std::vector<Vec3> part_colours)
    : primitives_(std::move(primitives)), part_colours_(std::move(part_colours)) {
  ensure(!primitives_.empty(), "a procedural object without primitives");
  for (const Primitive& p : primitives_) {
    ensure(p.part >= 0 && p.part < static_cast<int>(part_colours_.size()), "a primitive of an unknown part");
    bounds_.push_back(primitive_bounds(p));
  }
}

void PrimitiveSolid::occupancy(std::span<const Vec3> points, std::span<std::uint8_t> inside) const {
  ensure(points.size() == inside.size(), "occupancy needs one output per point");
  Block block, local;
  std::uint8_t marks[kBlock];
  for (std::size_t start = 0; start < points.size(); start += kBlock) {
    const int count = static_cast<int>(std::min<std::size_t>(kBlock, points.size() - start));
    Bounds around;
    for (int i = 0; i < kBlock; ++i) {
      const Vec3 p = points[start + std::min(i, count - 1)];
      block.x[i] = p.x, block.y[i] = p.y, block.z[i] = p.z;
      around.include(p);
    }
    std::memset(marks, 0, sizeof marks);
    for (std::size_t k = 0; k < primitives_.size(); ++k) {
      if (!overlap(bounds_[k], around)) continue;
      to_local(primitives_[k], block, local);
      mark_inside(primitives_[k], local, marks);
    }
    std::memcpy(inside.data() + start, marks, static_cast<std::size_t>(count));
  }
}

int PrimitiveSolid::part_at(Vec3 point) const {
  float best = INFINITY;
  int part = 0;
  for (std::size_t k = 0; k < primitives_.size(); ++k) {
    // The box around a primitive is never nearer than the primitive itself.
    const Vec3 outside = max(max(bounds_[k].low - point, point - bounds_[k].high), Vec3{0, 0, 0});
    if (best < INFINITY && dot(outside, outside) > std::max(best, 0.0f) * std::max(best, 0.0f)) continue;
    const float distance = signed_distance(primitives_[k], point);
    if (distance < best) {
      best = distance;
      part = primitives_[k].part;
    }
  }
  return part;
}

void PrimitiveSolid::colour(std::span<const Vec3> points, std::span<Vec3> colours) const {
  ensure(points.size() == colours.size(), "colour needs one output per point");
  for (std::size_t i = 0; i < points.size(); ++i) colours[i] = part_colours_[part_at(points[i])];
}

}  // namespace omni::data
