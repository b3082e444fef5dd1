#include "code_use.h"

#include <gtest/gtest.h>

namespace omni::training {
namespace {

TEST(CodeUse, EvenUseHasThePerplexityOfItsCodes) {
  CodeUse use(64);
  for (int i = 0; i < 40; ++i) use.add(at::arange(16, at::kLong));
  EXPECT_NEAR(use.perplexity(), 16, 1e-9);
  EXPECT_NEAR(use.used(), 0.25, 1e-12);
  EXPECT_FALSE(use.collapsed());
  use.clear();
  EXPECT_EQ(use.used(), 0);
}

TEST(CodeUse, FewCodesOfMuchUseAreACollapse) {
  CodeUse use(1000);
  use.add(at::full({100, 10}, 7, at::kLong));
  use.add(at::full({100, 10}, 8, at::kLong));
  EXPECT_TRUE(use.collapsed());
  EXPECT_NEAR(use.perplexity(), 2, 1e-9);
  // Of a large vocabulary, no more codes can be used than were seen.
  CodeUse large(1 << 20);
  large.add(at::arange(300, at::kLong));
  EXPECT_FALSE(large.collapsed());
  CodeUse few(1000);
  few.add(at::full({20}, 7, at::kLong));  // too few to tell
  EXPECT_FALSE(few.collapsed());
}

}  // namespace
}  // namespace omni::training
