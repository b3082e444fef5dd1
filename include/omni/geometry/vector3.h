#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace omni::geometry {

struct Vec3 {
  float x = 0, y = 0, z = 0;

  float& operator[](std::size_t axis) { return (&x)[axis]; }
  float operator[](std::size_t axis) const { return (&x)[axis]; }
  Vec3& operator+=(Vec3 o) {
    x += o.x;
    y += o.y;
    z += o.z;
    return *this;
  }
  Vec3& operator-=(Vec3 o) {
    x -= o.x;
    y -= o.y;
    z -= o.z;
    return *this;
  }
  Vec3& operator*=(float s) {
    x *= s;
    y *= s;
    z *= s;
    return *this;
  }
  friend bool operator==(Vec3, Vec3) = default;
};

inline Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vec3 operator-(Vec3 a) { return {-a.x, -a.y, -a.z}; }
inline Vec3 operator*(Vec3 a, float s) { return {a.x * s, a.y * s, a.z * s}; }
inline Vec3 operator*(float s, Vec3 a) { return a * s; }
inline Vec3 operator*(Vec3 a, Vec3 b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }
inline Vec3 operator/(Vec3 a, float s) { return {a.x / s, a.y / s, a.z / s}; }
inline float dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec3 cross(Vec3 a, Vec3 b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
inline float length(Vec3 a) { return std::sqrt(dot(a, a)); }
// Of unit length; zero stays zero.
inline Vec3 normalised(Vec3 a) {
  const float n = length(a);
  return n > 0 ? a / n : Vec3{};
}
inline Vec3 min(Vec3 a, Vec3 b) { return {std::min(a.x, b.x), std::min(a.y, b.y), std::min(a.z, b.z)}; }
inline Vec3 max(Vec3 a, Vec3 b) { return {std::max(a.x, b.x), std::max(a.y, b.y), std::max(a.z, b.z)}; }
inline Vec3 abs(Vec3 a) { return {std::abs(a.x), std::abs(a.y), std::abs(a.z)}; }

// An axis-aligned box; empty until a point is included.
struct Bounds {
  Vec3 low{INFINITY, INFINITY, INFINITY};
  Vec3 high{-INFINITY, -INFINITY, -INFINITY};

  void include(Vec3 p) {
    low = min(low, p);
    high = max(high, p);
  }
  bool empty() const { return low.x > high.x; }
  Vec3 extent() const { return high - low; }
  Vec3 centre() const { return (low + high) * 0.5f; }
  std::size_t longest_axis() const {
    const Vec3 e = extent();
    return e.x >= e.y && e.x >= e.z ? 0 : e.y >= e.z ? 1 : 2;
  }
};

}  // namespace omni::geometry
