#include "omni/core/name_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni {
namespace {

const std::vector<std::string> kNames = {"dual_blocks.0.text.qkv", "dual_blocks.0.generated.qkv",
                                         "dual_blocks.10.text.down", "single_blocks.0.qkv"};

TEST(NamePattern, StarsStandForAnyCharactersAndMarksForOne) {
  EXPECT_TRUE(matches_pattern("*", ""));
  EXPECT_TRUE(matches_pattern("*", "a.b"));
  EXPECT_TRUE(matches_pattern("a.b", "a.b"));
  EXPECT_FALSE(matches_pattern("a.b", "a.bc"));
  EXPECT_FALSE(matches_pattern("a.b", "xa.b"));
  EXPECT_FALSE(matches_pattern("", "a"));
  EXPECT_TRUE(matches_pattern("a.?.c", "a.7.c"));
  EXPECT_FALSE(matches_pattern("a.?.c", "a.17.c"));
  // A star that took too little at first.
  EXPECT_TRUE(matches_pattern("*.b.*c", "a.b.b.bc.c"));
  EXPECT_FALSE(matches_pattern("*.b.*c", "a.b.b.bc.d"));
  EXPECT_TRUE(matches_pattern("**a**", "bab"));
  EXPECT_FALSE(matches_pattern("*?", ""));
}

TEST(NamePattern, ChoosesWhatAnyPatternMatches) {
  EXPECT_EQ(chosen_by_patterns({"*.qkv"}, kNames, "layers"), (std::vector<bool>{true, true, false, true}));
  EXPECT_EQ(chosen_by_patterns({"dual_blocks.1?.*", "single*"}, kNames, "layers"),
            (std::vector<bool>{false, false, true, true}));
  EXPECT_EQ(chosen_by_patterns({}, kNames, "layers"), std::vector<bool>(4));
}

TEST(NamePattern, OneThatMatchesNothingIsNamedWithWhatIsNear) {
  try {
    chosen_by_patterns({"*.down", "*.qvk"}, kNames, "lora.layers");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("'lora.layers'"));
    EXPECT_THAT(error.what(), testing::HasSubstr("'*.qvk' matches none of 4 names"));
    EXPECT_THAT(error.what(), testing::HasSubstr("'dual_blocks.0.text.qkv'"));
    EXPECT_THAT(error.what(), testing::HasSubstr("Did you mean '*.qkv'?"));
  }
}

}  // namespace
}  // namespace omni
