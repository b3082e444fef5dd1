#pragma once

#include <cmath>
#include <numbers>

#include "omni/geometry/mesh.h"
#include "omni/geometry/solid_field.h"

namespace omni::geometry::testing {

// Meshes and fields of shapes whose truth is known in closed form.

// A surface over a grid of parameters u, v; rows and columns may wrap round. Faces are split along one
// diagonal.
template <class Position>
Mesh grid_mesh(int rows, int columns, bool wrap_rows, bool wrap_columns, const Position& position) {
  Mesh mesh;
  const int row_points = wrap_rows ? rows : rows + 1;
  const int column_points = wrap_columns ? columns : columns + 1;
  for (int i = 0; i < row_points; ++i) {
    for (int j = 0; j < column_points; ++j)
      mesh.positions.push_back(position(double(i) / rows, double(j) / columns));
  }
  const auto at = [&](int i, int j) {
    return static_cast<std::uint32_t>((i % row_points) * column_points + j % column_points);
  };
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      mesh.triangles.push_back({at(i, j), at(i + 1, j), at(i + 1, j + 1)});
      mesh.triangles.push_back({at(i, j), at(i + 1, j + 1), at(i, j + 1)});
    }
  }
  return mesh;
}

inline Mesh torus_mesh(double major, double minor, int rows = 128, int columns = 64) {
  constexpr double turn = 2 * std::numbers::pi;
  return grid_mesh(rows, columns, true, true, [=](double u, double v) {
    const double r = major + minor * std::cos(turn * v);
    return Vec3{float(r * std::sin(turn * u)), float(minor * std::sin(turn * v)),
                float(r * std::cos(turn * u))};
  });
}

// Six gridded faces that share no vertices by index, closed by position.
inline Mesh box_mesh(Vec3 half, int cells = 8) {
  Mesh mesh;
  for (int axis = 0; axis < 3; ++axis) {
    for (const float side : {-1.0f, 1.0f}) {
      const Mesh face = grid_mesh(cells, cells, false, false, [&](double u, double v) {
        Vec3 p;
        const double a = side > 0 ? u : v, b = side > 0 ? v : u;
        p[axis] = side * half[axis];
        p[(axis + 1) % 3] = float(2 * a - 1) * half[(axis + 1) % 3];
        p[(axis + 2) % 3] = float(2 * b - 1) * half[(axis + 2) % 3];
        return p;
      });
      const auto base = static_cast<std::uint32_t>(mesh.positions.size());
      mesh.positions.insert(mesh.positions.end(), face.positions.begin(), face.positions.end());
      for (const auto& t : face.triangles) mesh.triangles.push_back({base + t[0], base + t[1], base + t[2]});
    }
  }
  return mesh;
}

// A cube's surface pushed onto the sphere: closed, no poles.
inline Mesh sphere_mesh(float radius, int cells = 48) {
  Mesh mesh = box_mesh({1, 1, 1}, cells);
  for (Vec3& p : mesh.positions) p = normalised(p) * radius;
  return mesh;
}

inline double sphere_distance(Vec3 p, double radius) {  // negative inside
  return std::sqrt(double(p.x) * p.x + double(p.y) * p.y + double(p.z) * p.z) - radius;
}

inline double torus_distance(Vec3 p, double major, double minor) {
  const double ring = std::hypot(double(p.x), double(p.z)) - major;
  return std::hypot(ring, double(p.y)) - minor;
}

inline double box_distance(Vec3 p, Vec3 half) {
  double outside = 0, inside = -1e30;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double q = std::abs(double(p[axis])) - half[axis];
    outside += std::max(q, 0.0) * std::max(q, 0.0);
    inside = std::max(inside, q);
  }
  return inside > 0 ? std::sqrt(outside) : inside;
}

// Any signed distance (negative inside) as a solid of one colour.
template <class Distance>
class AnalyticSolid : public SolidField {
 public:
  explicit AnalyticSolid(Distance distance, Vec3 colour = {0.5f, 0.5f, 0.5f})
      : distance_(distance), colour_(colour) {}
  void occupancy(std::span<const Vec3> points, std::span<std::uint8_t> inside) const override {
    for (std::size_t i = 0; i < points.size(); ++i) inside[i] = distance_(points[i]) < 0 ? 1 : 0;
  }
  void colour(std::span<const Vec3> points, std::span<Vec3> colours) const override {
    for (std::size_t i = 0; i < points.size(); ++i) colours[i] = colour_;
  }

 private:
  Distance distance_;
  Vec3 colour_;
};

}  // namespace omni::geometry::testing
