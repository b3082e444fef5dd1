#include "omni/nn/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

namespace omni::nn {
namespace {

TEST(Rotary, AnglesFollowTheFormulaPerAxis) {
  const std::vector<std::int32_t> offsets = {0, 3, 1000}, rows = {1, 2, 0}, columns = {5, 0, 7};
  const std::vector<std::span<const std::int32_t>> positions = {offsets, rows, columns};
  const std::vector<std::int64_t> split = {8, 4, 4};
  const RotaryAngles angles = rotary_angles(positions, {split, 100.0});
  ASSERT_EQ(angles.cosine.sizes(), (std::vector<std::int64_t>{3, 8}));
  for (std::int64_t row = 0; row < 3; ++row) {
    std::int64_t column = 0;
    for (std::size_t axis = 0; axis < 3; ++axis)
      for (std::int64_t i = 0; i < split[axis] / 2; ++i, ++column) {
        const double angle = positions[axis][row] * std::pow(100.0, -2.0 * i / split[axis]);
        EXPECT_NEAR(angles.cosine[row][column].item<double>(), std::cos(angle), 1e-6);
        EXPECT_NEAR(angles.sine[row][column].item<double>(), std::sin(angle), 1e-6);
      }
  }
}

}  // namespace
}  // namespace omni::nn
