#include "omni/core/perplexity.h"

#include <gtest/gtest.h>

#include <vector>

namespace omni {
namespace {

TEST(Perplexity, CountsCodesThatAreUsedEquallyOften) {
  EXPECT_NEAR(perplexity(std::vector<double>(16, 3)), 16, 1e-12);
  EXPECT_NEAR(perplexity(std::vector<double>{5, 0, 5, 0}), 2, 1e-12);
  EXPECT_NEAR(perplexity(std::vector<double>{7}), 1, 1e-12);
  EXPECT_NEAR(perplexity(std::vector<double>{0.5, 0.25, 0.25}), 2.8284271247461903, 1e-12);  // 2^1.5
}

TEST(Perplexity, OfNothingIsZero) {
  EXPECT_EQ(perplexity(std::vector<double>{}), 0);
  EXPECT_EQ(perplexity(std::vector<double>{0, 0}), 0);
}

}  // namespace
}  // namespace omni
