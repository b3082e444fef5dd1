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

BatchShare alone(std::int64_t batch) {
  static const std::unique_ptr<distributed::Collectives> collectives = distributed::make_lone_collectives();
  return {"batch", batch, *collectives};
}

// Three objects in eight preparations: each batch draws of all eight, which differ in their points.
TEST(ShapeSampleStream, AFewObjectsArePreparedAgainWithOtherPoints) {
  const testing_support::RandomUnions source(1, 3);
  ShapeSampleStream stream(source, recipe(), 8, alone(16), 1);
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

TEST(ShapeSampleStream, TheOrderOfObjectsStaysWhatItIs) {
  const testing_support::RandomUnions source(1, 5);
  std::vector<at::Tensor> grids;
  for (std::int64_t i = 0; i < source.size(); ++i) {
    const PreparedShape shape = prepare_shape(source.load(i), recipe(), CounterRng(1));
    grids.push_back(at::tensor(at::ArrayRef<std::uint8_t>(shape.occupancy)).to(at::kFloat).div_(255));
  }
  std::vector<std::size_t> first;  // of the order that each seed gives
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    ShapeSampleStream stream(source, recipe(), 1, alone(1), seed);
    const at::Tensor grid = stream.next(0).occupancy.flatten();
    for (std::size_t i = 0; i < grids.size(); ++i)
      if (at::equal(grids[i], grid)) first.push_back(i);
  }
  EXPECT_EQ(first, (std::vector<std::size_t>{1, 1, 3, 2, 0, 1, 2, 1, 3, 2, 2, 0}));
}

TEST(PrepareShape, TheOrderOfColouredCellsStaysWhatItIs) {
  ShapeSampleRecipe coloured = recipe();
  coloured.colour_points = 4;
  const PreparedShape shape =
      prepare_shape(testing_support::RandomUnions(1, 1).load(0), coloured, CounterRng(1));
  ASSERT_GE(shape.cells.size(), 8u);
  EXPECT_EQ(std::vector(shape.cells.begin(), shape.cells.begin() + 8),
            (std::vector<std::int32_t>{221, 308, 93, 91, 403, 180, 99, 174}));
}

TEST(ShapeSampleStream, TurnsShowAnObjectFromEightSides) {
  const testing_support::RandomUnions source(1, 1);
  ShapeSampleRecipe turned = recipe();
  turned.turns = true;
  ShapeSampleStream stream(source, turned, 1, alone(64), 1);
  const ShapeBatch batch = stream.next(0);
  std::set<float> grids;
  for (std::int64_t i = 0; i < 64; ++i)
    grids.insert((batch.occupancy[i] * at::arange(512).view({8, 8, 8})).sum().item<float>());
  EXPECT_EQ(grids.size(), 8u);
}

}  // namespace
}  // namespace omni::training
