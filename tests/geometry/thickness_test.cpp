#include "omni/geometry/thickness.h"

#include <gtest/gtest.h>

#include "analytic_shapes.h"
#include "omni/core/error.h"
#include "omni/core/random.h"

namespace omni::geometry {
namespace {

template <class Distance>
double thickness_of(Distance distance, int resolution) {
  return mean_thickness(OccupancyBits(testing::AnalyticSolid<Distance>(distance), resolution));
}

TEST(Thickness, OfASlabAndABallAreTheirClosedForms) {
  // A slab whose sides the frame cuts off: half extents 1, 1/4, 1. The inside that is deeper than d is again
  // such a box, so the mean depth is the integral of (1 - d)^2 (1 - 4 d) over d from 0 to 1/4.
  const auto slab = [](Vec3 p) { return std::abs(double(p.y)) - 0.25; };
  EXPECT_NEAR(thickness_of(slab, 96), 4 * 0.10546875, 0.005);
  const auto ball = [](Vec3 p) { return testing::sphere_distance(p, 0.6); };
  EXPECT_NEAR(thickness_of(ball, 96), 0.6, 0.03);
  EXPECT_NEAR(thickness_of(ball, 192), 0.6, 0.015);
  const auto nothing = [](Vec3) { return 1.0; };
  EXPECT_EQ(thickness_of(nothing, 16), 0);
}

TEST(Thickness, AgreesWithTryingEveryPairOfCells) {
  constexpr int kCells = 9;
  CounterRng rng(4);
  std::vector<std::uint8_t> inside(kCells * kCells * kCells);
  for (auto& cell : inside) cell = rng.chance(0.8);
  const auto index_of = [](Vec3 p, int axis) { return static_cast<int>((p[axis] + 1) / 2 * kCells); };
  const auto cells = [&](Vec3 p) {
    return inside[(index_of(p, 2) * kCells + index_of(p, 1)) * kCells + index_of(p, 0)] != 0 ? -1.0 : 1.0;
  };
  double sum = 0;
  int count = 0;
  const auto at = [&](int x, int y, int z) {
    const bool in = std::min({x, y, z}) >= 0 && std::max({x, y, z}) < kCells;
    return in && inside[(z * kCells + y) * kCells + x] != 0;
  };
  for (int z = 0; z < kCells; ++z)
    for (int y = 0; y < kCells; ++y)
      for (int x = 0; x < kCells; ++x) {
        if (!at(x, y, z)) continue;
        double nearest = 1e9;
        for (int c = -1; c <= kCells; ++c)
          for (int b = -1; b <= kCells; ++b)
            for (int a = -1; a <= kCells; ++a)
              if (!at(a, b, c))
                nearest = std::min(
                    nearest, std::sqrt(double((a - x) * (a - x) + (b - y) * (b - y) + (c - z) * (c - z))));
        sum += nearest - 0.5;
        ++count;
      }
  EXPECT_NEAR(thickness_of(cells, kCells), 4 * (2.0 / kCells) * sum / count, 1e-5);
}

TEST(Thickness, RefusesImpossibleGrids) {
  const auto ball = [](Vec3 p) { return testing::sphere_distance(p, 0.6); };
  EXPECT_THROW(thickness_of(ball, 0), Error);
  EXPECT_THROW(thickness_of(ball, 5000), Error);
  EXPECT_THROW(mean_thickness(OccupancyBits()), Error);
  EXPECT_THROW(thickness_of(ball, 513), Error);
}

}  // namespace
}  // namespace omni::geometry
