#include "omni/core/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace omni {
namespace {

TEST(FormatDuration, UsesTheLargestTwoUnits) {
  EXPECT_EQ(format_duration(0.4), "0 s");
  EXPECT_EQ(format_duration(59.4), "59 s");
  EXPECT_EQ(format_duration(185), "3 min 05 s");
  EXPECT_EQ(format_duration(7800), "2 h 10 min");
}

TEST(Progress, WritesPlainLinesWhereThereIsNoTerminal) {
  testing::internal::CaptureStderr();
  {
    Progress progress("reading", 3, "files");
    progress.advance(3);
    progress.set_note("done");
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, testing::HasSubstr("reading 3/3 files"));
  EXPECT_THAT(text, testing::HasSubstr("done"));
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

}  // namespace
}  // namespace omni
