#include "omni/nn/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

namespace omni::nn {
namespace {

TEST(Rotary, AnglesFollowTheFormulaPerAxis) {
  const std::vector<std::vector<std::int32_t>> coordinates = {{0, 3, 1000, 3}, {1, 2, 0, 2}, {5, 0, 7, 5}};
  const std::vector<std::int64_t> split = {8, 4, 4};
  std::vector<RotaryAxis> axes;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const DistinctPositions distinct = distinct_positions(coordinates[axis]);
    EXPECT_EQ(distinct.positions.size(), 3u);
    axes.push_back({at::tensor(rotary_frequencies(split[axis], 100.0), at::kDouble),
                    at::tensor(distinct.positions, at::kDouble), at::tensor(distinct.of_row, at::kLong)});
  }
  const RotaryAngles angles = rotary_angles(axes);
  ASSERT_EQ(angles.cosine.sizes(), (std::vector<std::int64_t>{4, 8}));
  for (std::int64_t row = 0; row < 4; ++row) {
    std::int64_t column = 0;
    for (std::size_t axis = 0; axis < 3; ++axis)
      for (std::int64_t i = 0; i < split[axis] / 2; ++i, ++column) {
        const double angle = coordinates[axis][row] * std::pow(100.0, -2.0 * i / split[axis]);
        EXPECT_NEAR(angles.cosine[row][column].item<double>(), std::cos(angle), 1e-6);
        EXPECT_NEAR(angles.sine[row][column].item<double>(), std::sin(angle), 1e-6);
      }
  }
}

}  // namespace
}  // namespace omni::nn
