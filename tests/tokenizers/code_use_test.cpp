#include "omni/tokenizers/code_use.h"

#include <gtest/gtest.h>

namespace omni::tokenizers {
namespace {

TEST(CodeUse, EvenUseHasThePerplexityOfItsCodes) {
  CodeUse use;
  for (int i = 0; i < 40; ++i) use.add(at::arange(16, at::kLong).view({4, 4}));
  EXPECT_NEAR(use.perplexity(), 16, 1e-9);
  EXPECT_EQ(use.used(), 16);
  EXPECT_FALSE(use.collapsed(64));
  use.clear();
  EXPECT_EQ(use.used(), 0);
  EXPECT_EQ(use.perplexity(), 0);
}

TEST(CodeUse, TensorsAndListsCountAlike) {
  CodeUse use;
  use.add(std::vector<std::int32_t>{3, 3, 7});
  use.add(at::tensor({7}, at::kLong));
  EXPECT_EQ(use.used(), 2);
  EXPECT_NEAR(use.perplexity(), 2, 1e-9);
}

TEST(CodeUse, FewCodesOfMuchUseAreACollapse) {
  CodeUse use;
  use.add(at::full({100, 10}, 7, at::kLong));
  use.add(at::full({100, 10}, 8, at::kLong));
  EXPECT_TRUE(use.collapsed(1000));
  EXPECT_NEAR(use.perplexity(), 2, 1e-9);
  // Of a large vocabulary, no more codes can be used than were seen.
  CodeUse large;
  large.add(at::arange(300, at::kLong));
  EXPECT_FALSE(large.collapsed(1 << 20));
  CodeUse few;
  few.add(at::full({20}, 7, at::kLong));  // too few to tell
  EXPECT_FALSE(few.collapsed(1000));
}

}  // namespace
}  // namespace omni::tokenizers
