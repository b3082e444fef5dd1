#include "omni/data/canonical_views.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/data/tokenize.h"

namespace omni::data {
namespace {

// The shipped models were trained on these four: 45, 135, 225 and 315 degrees, from 30 above.
TEST(CanonicalViews, AreThoseOfTheShippedModelsWhoeverAsks) {
  const TokenizeOptions tokens;
  EXPECT_EQ(tokens.azimuth_bins, (std::vector<int>{3, 9, 15, 21}));
  EXPECT_EQ(tokens.elevation_bins, (std::vector<int>{4}));
  const std::vector<geometry::Camera> cameras = canonical_views();
  ASSERT_EQ(cameras.size(), tokens.azimuth_bins.size());
  for (std::size_t i = 0; i < cameras.size(); ++i) {
    EXPECT_EQ(cameras[i].azimuth_degrees, 45 + 90 * static_cast<float>(i));
    EXPECT_EQ(cameras[i].elevation_degrees, 30);
  }
}

TEST(CanonicalViews, DivideTheCircle) {
  EXPECT_TRUE(canonical_views(0).empty());
  EXPECT_EQ(canonical_azimuth_bins(2), (std::vector<int>{3, 15}));
  EXPECT_EQ(canonical_azimuth_bins(24).back(), 2);
  EXPECT_THROW(canonical_azimuth_bins(5), Error);
  EXPECT_THROW(canonical_azimuth_bins(-1), Error);
}

}  // namespace
}  // namespace omni::data
