#pragma once

#include <array>
#include <cmath>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

struct Point3d {
  double x = 0, y = 0, z = 0;
};
inline Point3d to_double(Vec3 p) { return {p.x, p.y, p.z}; }
inline Point3d operator+(Point3d a, Point3d b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Point3d operator-(Point3d a, Point3d b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Point3d operator*(Point3d a, double s) { return {a.x * s, a.y * s, a.z * s}; }
inline double dot(Point3d a, Point3d b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Point3d cross(Point3d a, Point3d b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

// Sum of squared distances to weighted planes, as x^T A x + 2 b x + c.
struct Quadric {
  double xx = 0, yy = 0, zz = 0, xy = 0, xz = 0, yz = 0;
  Point3d b;
  double c = 0;

  // The plane through `point` with unit `normal`.
  void add_plane(Point3d normal, Point3d point, double weight) {
    const double d = -dot(normal, point);
    xx += weight * normal.x * normal.x;
    yy += weight * normal.y * normal.y;
    zz += weight * normal.z * normal.z;
    xy += weight * normal.x * normal.y;
    xz += weight * normal.x * normal.z;
    yz += weight * normal.y * normal.z;
    b = b + normal * (weight * d);
    c += weight * d * d;
  }
  Quadric& operator+=(const Quadric& o) {
    xx += o.xx, yy += o.yy, zz += o.zz, xy += o.xy, xz += o.xz, yz += o.yz;
    b = b + o.b;
    c += o.c;
    return *this;
  }
  double error(Point3d p) const {
    const Point3d a{xx * p.x + xy * p.y + xz * p.z, xy * p.x + yy * p.y + yz * p.z,
                    xz * p.x + yz * p.y + zz * p.z};
    return std::abs(dot(a, p) + 2 * dot(b, p) + c);
  }
  // The point of least error; false where the planes do not determine one well.
  bool minimum(Point3d& p) const {
    const Point3d r0{xx, xy, xz}, r1{xy, yy, yz}, r2{xz, yz, zz};
    const Point3d c12 = cross(r1, r2);
    const double determinant = dot(r0, c12);
    const double scale = xx + yy + zz;
    if (!(std::abs(determinant) > 1e-8 * scale * scale * scale)) return false;
    const Point3d c20 = cross(r2, r0), c01 = cross(r0, r1);
    p = (c12 * b.x + c20 * b.y + c01 * b.z) * (-1 / determinant);
    return true;
  }
};

}  // namespace omni::geometry
