#include "shape_samples.h"

#include <gtest/gtest.h>

#include <set>

#include "random_unions.h"

namespace omni::training {
namespace {

ShapeSampleRecipe recipe() {
  ShapeSampleRecipe recipe;
  recipe.input.grid_resolution = 8;
  recipe.near_points = 4;
  recipe.volume_points = 4;
  recipe.near_deviation = 0.01;
  return recipe;
}

// Three objects in eight preparations: each batch draws of all eight, which differ in their points.
TEST(ShapeSampleStream, AFewObjectsArePreparedAgainWithOtherPoints) {
  const testing_support::RandomUnions source(1, 3);
  ShapeSampleStream stream(source, recipe(), 8, 16, 1);
  std::set<float> points, grids;
  for (std::int64_t step = 0; step < 4; ++step) {
    const ShapeBatch batch = stream.next(step);
    for (std::int64_t i = 0; i < 16; ++i) {
      points.insert(batch.points[i][0][0].item<float>());
      grids.insert((batch.occupancy[i] * at::arange(512).view({8, 8, 8})).sum().item<float>());
    }
  }
  EXPECT_EQ(points.size(), 8u);
  EXPECT_EQ(grids.size(), 3u);
}

TEST(ShapeSampleStream, TurnsShowAnObjectFromEightSides) {
  const testing_support::RandomUnions source(1, 1);
  ShapeSampleRecipe turned = recipe();
  turned.turns = true;
  ShapeSampleStream stream(source, turned, 1, 64, 1);
  const ShapeBatch batch = stream.next(0);
  std::set<float> grids;
  for (std::int64_t i = 0; i < 64; ++i)
    grids.insert((batch.occupancy[i] * at::arange(512).view({8, 8, 8})).sum().item<float>());
  EXPECT_EQ(grids.size(), 8u);
}

}  // namespace
}  // namespace omni::training
