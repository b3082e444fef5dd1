#include "omni/core/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "progress_line.h"

namespace omni {
namespace {

TEST(FormatDuration, UsesTheLargestTwoUnits) {
  EXPECT_EQ(format_duration(0.4), "0 s");
  EXPECT_EQ(format_duration(59.4), "59 s");
  EXPECT_EQ(format_duration(185), "3 min 05 s");
  EXPECT_EQ(format_duration(7800), "2 h 10 min");
  EXPECT_EQ(format_duration(1e300), "1000000000 h 00 min");
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

TEST(ProgressLine, TheBarGivesWayToTheNumbers) {
  const ProgressNumbers now{.title = "sampling",
                            .unit = "tokens",
                            .note = "",
                            .done = 250,
                            .total = 1000,
                            .done_before = 0,
                            .seconds = 10,
                            .last = false};
  const std::string numbers = "250/1000 tokens, 25/s, 30 s left";
  EXPECT_EQ(progress_line(now, 80), "sampling [######..................] " + numbers);
  EXPECT_EQ(progress_line(now, 50), "sampling [#.....] " + numbers);
  EXPECT_EQ(progress_line(now, 45), "sampling " + numbers);
  EXPECT_EQ(progress_line(now, 39), numbers);
  EXPECT_EQ(progress_line(now, 0), "sampling " + numbers);
}

TEST(ProgressLine, WhatWasDoneBeforeCountsForNoRate) {
  const ProgressNumbers now{.title = "sampling",
                            .unit = "prompts",
                            .note = "",
                            .done = 900,
                            .total = 1000,
                            .done_before = 880,
                            .seconds = 10,
                            .last = false};
  EXPECT_EQ(progress_line(now, 0), "sampling 900/1000 prompts, 2.00/s, 50 s left");
  testing::internal::CaptureStderr();
  { const Progress all_done_before("sampling", 1000, "prompts", 1000); }
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("1000/1000 prompts, 0.00/s"));
}

}  // namespace
}  // namespace omni
