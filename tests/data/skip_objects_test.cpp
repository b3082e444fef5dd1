#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/data/procedural_world.h"

namespace omni::data {
namespace {

TEST(SkipObjects, ShiftsTheOrderAndLeavesNothingOut) {
  const auto make = [] {
    return std::make_unique<ProceduralSource>(ProceduralOptions{.seed = 1, .count = 10});
  };
  const auto all = make();
  const auto rest = skip_objects(make(), 7);
  ASSERT_EQ(rest->size(), 3);
  for (std::int64_t i = 0; i < 3; ++i) EXPECT_EQ(rest->load(i).id, all->load(i + 7).id);
  EXPECT_NE(rest->fingerprint(), all->fingerprint());
  EXPECT_THROW(rest->load(-1), Error);
  EXPECT_THROW(rest->load(3), Error);
  EXPECT_THROW(skip_objects(make(), 10), Error);
}

}  // namespace
}  // namespace omni::data
