#include "omni/data/canonical_views.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/data/procedural_world.h"
#include "omni/data/tokenize.h"
#include "omni/geometry/renderer.h"
#include "omni/image/object_picture.h"

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

// Sampling puts objects where these views show them, so that it must leave such pictures alone.
TEST(CanonicalViews, ShowObjectsWholeInTheMiddleBeforeWhite) {
  const ProceduralSource source({.seed = 1, .split = Split::train, .count = 72});
  geometry::RenderOptions options;
  options.width = options.height = 64;
  for (std::int64_t i = 0; i < source.size(); ++i) {
    const ObjectRecord object = source.load(i);
    const geometry::Renderer renderer(object.mesh);
    for (const geometry::Camera& camera : canonical_views()) {
      const image::Image picture = renderer.render(camera, options);
      const image::ObjectPicture framed = image::frame_object(picture, object.id);
      EXPECT_FALSE(framed.reframed) << object.id << " from " << camera.azimuth_degrees << " degrees";
      EXPECT_EQ(framed.doubt.value_or(""), "") << object.id;
    }
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
