#include "unfinished_draws.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;
using generation::DrawnChoices;
using generation::DrawPlace;
using testing::HasSubstr;

constexpr std::int64_t kBestOf = 2;

// Three draws: both of the first request's sample 0, and one of the second's.
class UnfinishedDrawsTest : public testing::Test {
 protected:
  std::unique_ptr<UnfinishedDraws> open(const char* run = "this run",
                                        UnfinishedDraws::Period period = std::chrono::hours(1)) const {
    auto draws = std::make_unique<UnfinishedDraws>(file_, run, kBestOf, period);
    draws->name_samples([this](std::size_t request, std::uint64_t sample) {
      return UnfinishedDraws::Sample{names_[request] + std::to_string(sample), prompts_[request], seed_};
    });
    return draws;
  }
  std::vector<UnfinishedDraws::Sample> samples() const {
    return {{names_[0] + "0", prompts_[0], seed_}, {names_[1] + "2", prompts_[1], seed_}};
  }
  // What the file gives, and what is told of it.
  std::vector<DrawnChoices> read_again(const char* run = "this run") {
    testing::internal::CaptureStderr();
    const auto draws = open(run);
    draws->match(samples());
    std::vector<DrawnChoices> drawn;
    for (const DrawPlace& place : places_) drawn.push_back(draws->begun(place));
    told_ = testing::internal::GetCapturedStderr();
    return drawn;
  }
  void write() const { open()->note(places_, drawn_, /*ended=*/true); }
  std::string text() const { return read_file_text(file_); }
  void rewrite(const std::string& text) const { write_file_atomically(file_, std::string_view(text)); }

  const test::TemporaryDirectory folder_;
  const fs::path file_ = folder_ / "unfinished.jsonl";
  const std::vector<DrawPlace> places_ = {{0, 0}, {0, 1}, {1, 5}};
  const std::vector<DrawnChoices> drawn_ = {
      {{7, 8, 9}, -0.1 - 1.0 / 3, 0.25}, {{1}, -2, 1}, {{5, 4}, -1e-300, 2}};
  std::vector<std::string> names_ = {"chair", "mug"};
  std::vector<std::string> prompts_ = {"a \"red\" chair", "une tasse d\u00e9licate"};
  std::uint64_t seed_ = std::uint64_t{1} << 63;
  std::string told_;
};

TEST_F(UnfinishedDrawsTest, GivesBackWhatWasDrawn) {
  write();
  const std::vector<DrawnChoices> drawn = read_again();
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    EXPECT_EQ(drawn[i].tokens, drawn_[i].tokens) << i;
    EXPECT_EQ(drawn[i].log_probability, drawn_[i].log_probability) << i;
    EXPECT_EQ(drawn[i].seconds, drawn_[i].seconds) << i;
  }
  EXPECT_THAT(told_, HasSubstr("3 draws go on"));
}

TEST_F(UnfinishedDrawsTest, IsWrittenWhileItIsDrawn) {
  open()->note(places_, drawn_, /*ended=*/false);
  EXPECT_FALSE(fs::exists(file_)) << "not at every step";
  open("this run", std::chrono::seconds(0))->note(places_, drawn_, /*ended=*/false);
  EXPECT_EQ(read_again()[2].tokens, drawn_[2].tokens);
}

// What follows are its meshes, during which the process may be ended at once.
TEST_F(UnfinishedDrawsTest, ABatchThatHasEndedIsWrittenAtOnce) {
  open()->note(places_, drawn_, /*ended=*/true);
  const std::vector<DrawnChoices> drawn = read_again();
  for (std::size_t i = 0; i < drawn.size(); ++i) EXPECT_EQ(drawn[i].tokens, drawn_[i].tokens) << i;
}

TEST_F(UnfinishedDrawsTest, WhatIsMadeIsForgotten) {
  write();
  const auto draws = open();
  draws->forget("chair0");
  draws->save();
  const std::vector<DrawnChoices> left = read_again();
  EXPECT_TRUE(left[0].tokens.empty());
  EXPECT_TRUE(left[1].tokens.empty());
  EXPECT_EQ(left[2].tokens, drawn_[2].tokens);
  draws->forget("mug2");
  draws->save();
  EXPECT_FALSE(fs::exists(file_));
  draws->save();
  EXPECT_EQ(read_again()[2].tokens.size(), 0u);
}

TEST_F(UnfinishedDrawsTest, ADamagedLineIsToldOfAndDrawnAnew) {
  write();
  std::string other_token = text();
  other_token.replace(other_token.find("[7,8,9]"), 7, "[7,8,6]");
  std::string no_json = text();
  no_json.replace(no_json.find("[7,8,9]"), 7, "[7,8,9 ");
  for (const std::string& damaged : {other_token, no_json}) {
    rewrite(damaged);
    const std::vector<DrawnChoices> drawn = read_again();
    EXPECT_THAT(told_, HasSubstr("unfinished.jsonl"));
    EXPECT_THAT(told_, HasSubstr("the draw of line 2 is damaged: drawn anew"));
    EXPECT_TRUE(drawn[0].tokens.empty());
    EXPECT_EQ(drawn[1].tokens, drawn_[1].tokens);
    EXPECT_EQ(drawn[2].tokens, drawn_[2].tokens);
  }
}

TEST_F(UnfinishedDrawsTest, ALineThatBreaksOffIsDrawnAnewWhereverItDoes) {
  write();
  const std::string whole = text();
  for (std::size_t size = 0; size + 1 < whole.size(); ++size) {
    rewrite(whole.substr(0, size));
    const std::vector<DrawnChoices> drawn = read_again();
    EXPECT_TRUE(drawn[2].tokens.empty()) << size;
    for (std::size_t i = 0; i < 2; ++i)
      EXPECT_TRUE(drawn[i].tokens.empty() || drawn[i].tokens == drawn_[i].tokens) << size;
  }
}

TEST_F(UnfinishedDrawsTest, AFileOfAnotherRunIsToldOfAndDrawnAnew) {
  write();
  for (const DrawnChoices& drawn : read_again("another run")) EXPECT_TRUE(drawn.tokens.empty());
  EXPECT_THAT(told_, HasSubstr("of another run or damaged: drawn anew"));
  rewrite("results");
  for (const DrawnChoices& drawn : read_again()) EXPECT_TRUE(drawn.tokens.empty());
  EXPECT_THAT(told_, HasSubstr("of another run or damaged: drawn anew"));
}

TEST_F(UnfinishedDrawsTest, ASampleOfAnotherPromptOrSeedIsDrawnAnew) {
  write();
  prompts_[0] = "a blue chair";
  std::vector<DrawnChoices> drawn = read_again();
  EXPECT_TRUE(drawn[0].tokens.empty());
  EXPECT_EQ(drawn[2].tokens, drawn_[2].tokens);
  EXPECT_THAT(told_, HasSubstr("chair0 is of another prompt or seed: drawn anew"));
  EXPECT_EQ(told_.find("chair0", told_.find("chair0") + 1), std::string::npos)
      << "once for both draws: " << told_;
  EXPECT_THAT(told_, HasSubstr("1 draw goes on"));
  ++seed_;
  drawn = read_again();
  EXPECT_TRUE(drawn[2].tokens.empty());
}

// A line before it was taken out, say, where names tell lines. Somebody may put it back.
TEST_F(UnfinishedDrawsTest, DrawsOfNoSampleAreToldOfOnceAndStayUntilAllIsMade) {
  write();
  names_[0] = "red-chair";
  std::vector<DrawnChoices> drawn = read_again();
  EXPECT_TRUE(drawn[0].tokens.empty());
  EXPECT_THAT(told_, HasSubstr("1 draw goes on"));
  EXPECT_THAT(told_, HasSubstr("2 draws are of no sample that is asked for now"));
  {
    const auto draws = open();
    draws->match(samples());
    draws->forget("mug2");
    draws->save();  // as after Ctrl-C
  }
  names_[0] = "chair";
  EXPECT_EQ(read_again()[0].tokens, drawn_[0].tokens) << "the change is undone";
  const auto draws = open();
  draws->forget_all();
  draws->save();
  EXPECT_FALSE(fs::exists(file_));
  drawn = read_again();
  EXPECT_EQ(told_, "");
}

}  // namespace
}  // namespace omni::tools
