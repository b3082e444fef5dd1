#pragma once

#include <algorithm>
#include <cmath>

#include "omni/geometry/vector3.h"

namespace omni::geometry {

// An affine transform in double precision; the upper three rows, row-major.
struct Matrix4 {
  double m[3][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}};

  static Matrix4 from_columns(const double (&columns)[16]) {
    Matrix4 result;
    for (int r = 0; r < 3; ++r)
      for (int c = 0; c < 4; ++c) result.m[r][c] = columns[c * 4 + r];
    return result;
  }

  // Scale, then rotate by the quaternion (x, y, z, w), then translate.
  static Matrix4 from_parts(const double (&t)[3], const double (&q)[4], const double (&s)[3]) {
    const double n = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3];
    const double k = n > 0 ? 2 / n : 0;
    const double x = q[0], y = q[1], z = q[2], w = q[3];
    const double r[3][3] = {{1 - k * (y * y + z * z), k * (x * y - z * w), k * (x * z + y * w)},
                            {k * (x * y + z * w), 1 - k * (x * x + z * z), k * (y * z - x * w)},
                            {k * (x * z - y * w), k * (y * z + x * w), 1 - k * (x * x + y * y)}};
    Matrix4 result;
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 3; ++j) result.m[i][j] = r[i][j] * s[j];
      result.m[i][3] = t[i];
    }
    return result;
  }

  // For sums of transforms.
  Matrix4& add_scaled(const Matrix4& other, double weight) {
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 4; ++j) m[i][j] += weight * other.m[i][j];
    return *this;
  }
  static Matrix4 zero() {
    Matrix4 result;
    for (int i = 0; i < 3; ++i) result.m[i][i] = 0;
    return result;
  }

  friend Matrix4 operator*(const Matrix4& a, const Matrix4& b) {
    Matrix4 result;
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 4; ++j)
        result.m[i][j] =
            a.m[i][0] * b.m[0][j] + a.m[i][1] * b.m[1][j] + a.m[i][2] * b.m[2][j] + (j == 3 ? a.m[i][3] : 0);
    return result;
  }

  Vec3 point(Vec3 p) const {
    const auto row = [&](int i) { return float(m[i][0] * p.x + m[i][1] * p.y + m[i][2] * p.z + m[i][3]); };
    return {row(0), row(1), row(2)};
  }

  double cofactor(int i, int j) const {
    const int i1 = (i + 1) % 3, i2 = (i + 2) % 3, j1 = (j + 1) % 3, j2 = (j + 2) % 3;
    return m[i1][j1] * m[i2][j2] - m[i1][j2] * m[i2][j1];
  }
  // Whether it leaves a surface something to show: it does not map all space to a line or a point.
  bool keeps_area() const {
    double largest = 0, area = 0;
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) {
        largest = std::max(largest, std::abs(m[i][j]));
        area = std::max(area, std::abs(cofactor(i, j)));
      }
    constexpr double kRounding = 1e-14;
    return area > kRounding * largest * largest;
  }
  double determinant() const {
    return m[0][0] * cofactor(0, 0) + m[0][1] * cofactor(0, 1) + m[0][2] * cofactor(0, 2);
  }

  // Unit normals stay perpendicular under the inverse transpose, which is the cofactor matrix up to scale and
  // sign.
  Vec3 normal(Vec3 n) const {
    const double sign = determinant() < 0 ? -1 : 1;
    double r[3];
    for (int i = 0; i < 3; ++i)
      r[i] = sign * (cofactor(i, 0) * n.x + cofactor(i, 1) * n.y + cofactor(i, 2) * n.z);
    const double length = std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
    if (!(length > 0) || !std::isfinite(length)) return {};
    return {float(r[0] / length), float(r[1] / length), float(r[2] / length)};
  }
};

}  // namespace omni::geometry
