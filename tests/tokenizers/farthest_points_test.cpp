#include "farthest_points.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni::tokenizers {
namespace {

TEST(FarthestPoints, EachIsFarthestFromThoseBefore) {
  at::manual_seed(3);
  const at::Tensor points = at::randn({2, 60, 3});
  const at::Tensor chosen = farthest_points(points, 12);
  for (std::int64_t b = 0; b < 2; ++b) {
    const at::Tensor own = points[b];
    const at::Tensor from_mean = (own - own.mean(0)).norm(2, -1);
    EXPECT_EQ(chosen[b][0].item<std::int64_t>(), from_mean.argmax().item<std::int64_t>());
    for (std::int64_t k = 1; k < 12; ++k) {
      const at::Tensor before = own.index_select(0, chosen[b].narrow(0, 0, k));
      const at::Tensor gap = at::cdist(own, before).amin(-1);
      EXPECT_EQ(chosen[b][k].item<std::int64_t>(), gap.argmax().item<std::int64_t>()) << k;
    }
  }
}

TEST(FarthestPoints, TheOrderOfThePointsDoesNotMatter) {
  at::manual_seed(4);
  const at::Tensor points = at::randn({1, 50, 3});
  const at::Tensor turned = points.flip({1});
  EXPECT_TRUE(at::equal(49 - farthest_points(turned, 20), farthest_points(points, 20)));
}

TEST(FarthestPoints, ChoosingAllChoosesEachOnce) {
  at::manual_seed(5);
  const auto chosen = std::get<0>(farthest_points(at::randn({1, 9, 3}), 9)[0].sort());
  EXPECT_TRUE(at::equal(chosen, at::arange(9, at::kLong)));
  EXPECT_THROW(farthest_points(at::randn({1, 9, 3}), 10), Error);
}

}  // namespace
}  // namespace omni::tokenizers
