#include "primitive.h"

#include <algorithm>
#include <cmath>

namespace omni::data {
namespace {

using geometry::Bounds;
using geometry::Vec3;

// Coordinates are near 1, so the care that std::hypot takes against overflow would only cost time.
float norm(float a, float b, float c = 0) { return std::sqrt(a * a + b * b + c * c); }

// Distance to a rectangle-like corner from the two distances to its sides (negative inside each).
float combine(float a, float b) {
  const float outside = norm(std::max(a, 0.0f), std::max(b, 0.0f));
  return outside + std::min(std::max(a, b), 0.0f);
}

float box_distance(Vec3 p, Vec3 half) {
  const Vec3 q = abs(p) - half;
  const Vec3 positive = max(q, Vec3{0, 0, 0});
  return length(positive) + std::min(std::max({q.x, q.y, q.z}), 0.0f);
}

// First-order distance estimate k0 (k0 - 1) / k1, with k0 = |p / r| and k1 = |p / r^2|.
float ellipse_distance(float x, float z, float rx, float rz) {
  if (rx == rz) return norm(x, z) - rx;
  const float k0 = norm(x / rx, z / rz);
  const float k1 = norm(x / (rx * rx), z / (rz * rz));
  return k1 > 1e-6f ? k0 * (k0 - 1) / k1 : -std::min(rx, rz);
}

float ellipsoid_distance(Vec3 p, Vec3 r) {
  const Vec3 a{p.x / r.x, p.y / r.y, p.z / r.z};
  const Vec3 b{a.x / r.x, a.y / r.y, a.z / r.z};
  const float k0 = length(a), k1 = length(b);
  return k1 > 1e-6f ? k0 * (k0 - 1) / k1 : -std::min({r.x, r.y, r.z});
}

// `section` is the norm of (x, z) in units of the bottom's half sizes.
float frustum_distance(const Primitive& s, Vec3 p, float section) {
  const float width = std::min(s.half.x, s.half.z);
  const float scale = 1 + (s.ratio - 1) * (p.y + s.half.y) / (2 * s.half.y);
  const float slope = width * (1 - s.ratio) / (2 * s.half.y);
  const float side = (section - scale) * width / std::sqrt(1 + slope * slope);
  return combine(side, std::abs(p.y) - s.half.y);
}

float wedge_distance(const Primitive& s, Vec3 p) {
  const float apex = s.ratio * s.half.x;
  // Outward planes through (-x, -y)-(apex, y) and (apex, y)-(x, -y).
  const float left_run = apex + s.half.x, right_run = s.half.x - apex, rise = 2 * s.half.y;
  const float left = (-(p.x + s.half.x) * rise + (p.y + s.half.y) * left_run) / norm(rise, left_run);
  const float right = ((p.x - s.half.x) * rise + (p.y + s.half.y) * right_run) / norm(rise, right_run);
  return combine(std::max({left, right, -s.half.y - p.y}), std::abs(p.z) - s.half.z);
}

}  // namespace

float signed_distance(const Primitive& s, Vec3 point) {
  const Vec3 p = s.to_local(point);
  switch (s.kind) {
    case PrimitiveKind::box:
      return box_distance(p, s.half);
    case PrimitiveKind::ellipsoid:
      return ellipsoid_distance(p, s.half);
    case PrimitiveKind::cylinder:
      return combine(ellipse_distance(p.x, p.z, s.half.x, s.half.z), std::abs(p.y) - s.half.y);
    case PrimitiveKind::frustum:
      return frustum_distance(s, p, norm(p.x / s.half.x, p.z / s.half.z));
    case PrimitiveKind::pyramid:
      return frustum_distance(s, p, std::max(std::abs(p.x / s.half.x), std::abs(p.z / s.half.z)));
    case PrimitiveKind::torus:
      return norm(norm(p.x, p.z) - s.half.x, p.y) - s.half.y;
    case PrimitiveKind::capsule: {
      const float straight = s.half.y - s.half.x;
      const float y = p.y - std::clamp(p.y, -straight, straight);
      return norm(p.x, y, p.z) - s.half.x;
    }
    case PrimitiveKind::tube: {
      const float middle = s.half.x * (1 + s.ratio) / 2, wall = s.half.x * (1 - s.ratio) / 2;
      return combine(std::abs(norm(p.x, p.z) - middle) - wall, std::abs(p.y) - s.half.y);
    }
    case PrimitiveKind::wedge:
      return wedge_distance(s, p);
  }
  return 0;
}

Bounds primitive_bounds(const Primitive& s) {
  Vec3 reach_low, reach_high;
  for (int i = 0; i < 3; ++i) {
    const float x = s.axes[0][i], y = s.axes[1][i], z = s.axes[2][i];
    const float disc = norm(x * s.half.x, z * s.half.z);
    float low = 0, high = 0;
    switch (s.kind) {
      case PrimitiveKind::box:
        high = std::abs(x) * s.half.x + std::abs(y) * s.half.y + std::abs(z) * s.half.z;
        low = -high;
        break;
      case PrimitiveKind::ellipsoid:
        high = norm(x * s.half.x, y * s.half.y, z * s.half.z);
        low = -high;
        break;
      case PrimitiveKind::cylinder:
      case PrimitiveKind::tube:
        high = disc + std::abs(y) * s.half.y;
        low = -high;
        break;
      case PrimitiveKind::frustum:
      case PrimitiveKind::pyramid: {
        const float section =
            s.kind == PrimitiveKind::frustum ? disc : std::abs(x) * s.half.x + std::abs(z) * s.half.z;
        high = std::max(section - y * s.half.y, section * s.ratio + y * s.half.y);
        low = std::min(-section - y * s.half.y, -section * s.ratio + y * s.half.y);
        break;
      }
      case PrimitiveKind::torus:
        high = disc + s.half.y;
        low = -high;
        break;
      case PrimitiveKind::capsule:
        high = std::abs(y) * (s.half.y - s.half.x) + s.half.x;
        low = -high;
        break;
      case PrimitiveKind::wedge: {
        const float corners[3] = {-x * s.half.x - y * s.half.y, x * s.half.x - y * s.half.y,
                                  x * s.ratio * s.half.x + y * s.half.y};
        high = std::max({corners[0], corners[1], corners[2]}) + std::abs(z) * s.half.z;
        low = std::min({corners[0], corners[1], corners[2]}) - std::abs(z) * s.half.z;
        break;
      }
    }
    reach_low[i] = low;
    reach_high[i] = high;
  }
  return {s.centre + reach_low, s.centre + reach_high};
}

float thinnest_extent(const Primitive& s) {
  switch (s.kind) {
    case PrimitiveKind::torus:
      return 2 * s.half.y;
    case PrimitiveKind::capsule:
      return 2 * s.half.x;
    case PrimitiveKind::tube:
      return std::min(s.half.x * (1 - s.ratio), 2 * s.half.y);
    default:
      return 2 * std::min({s.half.x, s.half.y, s.half.z});
  }
}

}  // namespace omni::data
