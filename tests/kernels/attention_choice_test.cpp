#include "attention_choice.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "attention_islands.h"
#include "attention_truth.h"

namespace omni::kernels {
namespace {

// Invented entries.
constexpr MeasuredPath kTable[] = {
    {9, 128, 4096, true, AttentionPath::cudnn, "long causal documents"},
    {9, 128, 512, false, AttentionPath::hopper, "documents"},
    {8, 64, 0, false, AttentionPath::library, "another GPU"},
};

const char* evidence(const AttentionCase& attention) {
  const MeasuredPath* const found = fitting_path(kTable, attention);
  return found ? found->evidence : "none";
}

TEST(AttentionChoice, TheFirstEntryThatFitsIsTaken) {
  EXPECT_STREQ(evidence({9, 128, 4096, true}), "long causal documents");
  EXPECT_STREQ(evidence({9, 128, 4096, false}), "documents");
  EXPECT_STREQ(evidence({9, 128, 512, true}), "documents");
  EXPECT_STREQ(evidence({9, 128, 511, true}), "none");
  EXPECT_STREQ(evidence({9, 64, 9999, true}), "none");
  EXPECT_STREQ(evidence({8, 64, 0, false}), "another GPU");
  EXPECT_STREQ(evidence({8, 128, 9999, true}), "none");
  EXPECT_EQ(fitting_path({}, {9, 128, 4096, true}), nullptr);
}

TEST(AttentionIslands, CausalDocumentsAreTold) {
  std::mt19937 random(4);
  const auto of = [](std::vector<std::int32_t> first, std::vector<std::int32_t> last) {
    return AttentionSpans(std::move(first), std::move(last));
  };
  EXPECT_TRUE(holds_causal_documents(AttentionSpans::causal(random_documents(300, random))));
  EXPECT_TRUE(holds_causal_documents(AttentionSpans()));
  EXPECT_FALSE(holds_causal_documents(of({0, 0, 2, 2}, {1, 2, 4, 4})));  // the second sees its end
  EXPECT_FALSE(holds_causal_documents(of({0, 0, 1}, {1, 2, 3})));        // a window
  EXPECT_EQ(kind_of(of({0, 0}, {2, 2}), {0, 2}), IslandKind::full);
  EXPECT_EQ(kind_of(of({0, 0}, {1, 2}), {0, 2}), IslandKind::causal);
  EXPECT_EQ(kind_of(of({0, 0, 1}, {1, 2, 3}), {0, 3}), IslandKind::other);
}

}  // namespace
}  // namespace omni::kernels
