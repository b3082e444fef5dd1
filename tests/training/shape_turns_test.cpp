#include "shape_turns.h"

#include <gtest/gtest.h>

#include "omni/tokenizers/shape_grid.h"

namespace omni::training {
namespace {

// A point's cell stays its cell, whatever the turn: the grid's value there, read by interpolation, is the
// same.
TEST(ShapeTurns, GridAndPointsTurnTogether) {
  at::manual_seed(1);
  for (int quarters = 0; quarters < 4; ++quarters)
    for (const bool mirrored : {false, true}) {
      ShapeBatch batch;
      batch.occupancy = at::rand({2, 8, 8, 8});
      batch.points = at::rand({2, 50, 3}) * 2 - 1;
      batch.surface = at::rand({2, 5, 6});
      const ShapeBatch before = batch;
      turn_shapes(batch, {{quarters, mirrored}, {0, false}});
      const auto values = [](const ShapeBatch& b) {
        return tokenizers::sample_grid(b.occupancy.unsqueeze(1), b.points);
      };
      EXPECT_TRUE(values(batch).allclose(values(before), 1e-5, 1e-5)) << quarters << mirrored;
      EXPECT_TRUE(batch.points[1].equal(before.points[1]));
      EXPECT_TRUE(batch.points.select(-1, 1).equal(before.points.select(-1, 1)));  // up stays up
      EXPECT_EQ(batch.points[0].equal(before.points[0]), quarters == 0 && !mirrored);
      EXPECT_TRUE(batch.surface.square().sum({1, 2}).allclose(before.surface.square().sum({1, 2})));
    }
}

TEST(ShapeTurns, AQuarterTakesZToX) {
  ShapeBatch batch;
  batch.points = at::tensor({0.0f, 0.0f, 1.0f}).view({1, 1, 3});
  turn_shapes(batch, {{1, false}});
  EXPECT_TRUE(batch.points.flatten().equal(at::tensor({1.0f, 0.0f, 0.0f})));
}

TEST(ShapeTurns, AllEightAreDrawn) {
  CounterRng rng(1);
  std::vector<int> seen(8, 0);
  for (const ShapeTurn& turn : random_turns(800, rng)) ++seen[turn.quarters * 2 + turn.mirrored];
  for (const int count : seen) EXPECT_GT(count, 60);
}

}  // namespace
}  // namespace omni::training
