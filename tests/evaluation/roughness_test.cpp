#include "omni/evaluation/roughness.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <numbers>
#include <utility>
#include <vector>

#include "omni/core/random.h"

namespace omni::evaluation {
namespace {

using geometry::Mesh;
using geometry::Vec3;

// An icosahedron whose triangles are cut in four, several times.
Mesh sphere(float radius, int cuts) {
  const float g = (1 + std::sqrt(5.0f)) / 2;
  Mesh mesh;
  mesh.positions = {{-1, g, 0},  {1, g, 0},  {-1, -g, 0}, {1, -g, 0}, {0, -1, g},  {0, 1, g},
                    {0, -1, -g}, {0, 1, -g}, {g, 0, -1},  {g, 0, 1},  {-g, 0, -1}, {-g, 0, 1}};
  mesh.triangles = {{0, 11, 5},  {0, 5, 1},  {0, 1, 7},  {0, 7, 10}, {0, 10, 11}, {1, 5, 9}, {5, 11, 4},
                    {11, 10, 2}, {10, 7, 6}, {7, 1, 8},  {3, 9, 4},  {3, 4, 2},   {3, 2, 6}, {3, 6, 8},
                    {3, 8, 9},   {4, 9, 5},  {2, 4, 11}, {6, 2, 10}, {8, 6, 7},   {9, 8, 1}};
  for (int cut = 0; cut < cuts; ++cut) {
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> middles;
    const auto middle = [&](std::uint32_t a, std::uint32_t b) {
      const auto [found, added] =
          middles.try_emplace(std::minmax(a, b), static_cast<std::uint32_t>(mesh.positions.size()));
      if (added) mesh.positions.push_back((mesh.positions[a] + mesh.positions[b]) * 0.5f);
      return found->second;
    };
    std::vector<std::array<std::uint32_t, 3>> finer;
    for (const auto& [a, b, c] : mesh.triangles) {
      const std::uint32_t ab = middle(a, b), bc = middle(b, c), ca = middle(c, a);
      finer.insert(finer.end(), {{a, ab, ca}, {ab, b, bc}, {ca, bc, c}, {ab, bc, ca}});
    }
    mesh.triangles = std::move(finer);
    for (Vec3& p : mesh.positions) p = normalised(p);
  }
  for (Vec3& p : mesh.positions) p = normalised(p) * radius;
  return mesh;
}

// Two triangles a side.
Mesh cube() {
  Mesh mesh;
  for (int i = 0; i < 8; ++i)
    mesh.positions.push_back(
        {static_cast<float>(i & 1), static_cast<float>(i >> 1 & 1), static_cast<float>(i >> 2)});
  mesh.triangles = {{0, 2, 1}, {1, 2, 3}, {4, 5, 6}, {5, 7, 6}, {0, 1, 4}, {1, 5, 4},
                    {2, 6, 3}, {3, 6, 7}, {0, 4, 2}, {2, 4, 6}, {1, 3, 5}, {3, 7, 5}};
  return mesh;
}

TEST(Roughness, OfASphereIsItsCurvature) {
  for (const float radius : {0.4f, 0.8f}) {
    const Mesh mesh = sphere(radius, 4);
    // The side of an equilateral triangle of the mean area.
    const double side =
        std::sqrt(4 / std::sqrt(3.0) * mesh.surface_area() / static_cast<double>(mesh.triangles.size()));
    const double expected = side / (std::sqrt(3.0) * radius) * 180 / std::numbers::pi;
    EXPECT_NEAR(dihedral_roughness(mesh), expected, 0.03 * expected);
  }
}

TEST(Roughness, OfACubeIsNothing) {
  EXPECT_EQ(dihedral_roughness(cube()), 0);
  EXPECT_EQ(dihedral_roughness({}), 0);
}

TEST(Roughness, GrowsWithNoise) {
  Mesh mesh = sphere(0.8f, 4);
  const double smooth = dihedral_roughness(mesh);
  CounterRng rng(5);
  for (Vec3& p : mesh.positions) p *= 1 + 0.02f * static_cast<float>(rng.uniform(-1, 1));
  EXPECT_GT(dihedral_roughness(mesh), 2 * smooth);
}

}  // namespace
}  // namespace omni::evaluation
