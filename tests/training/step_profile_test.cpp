#include "step_profile.h"

#include <ATen/record_function.h>
#include <gmock/gmock.h>

#include <thread>

#include "caption_world.h"
#include "omni/core/json_text.h"
#include "omni/kernels/tensor.h"
#include "omni/training/trainer.h"

namespace omni::training {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Le;

nlohmann::json read_profile(const std::filesystem::path& path) { return parse_json(read_file_text(path)); }

std::vector<nlohmann::json> ranges(const nlohmann::json& profile, const std::string& category) {
  std::vector<nlohmann::json> found;
  for (const nlohmann::json& event : profile.at("traceEvents"))
    if (event.at("ph") == "X" && event.at("cat") == category) found.push_back(event);
  return found;
}

std::vector<std::string> names(const std::vector<nlohmann::json>& events) {
  std::vector<std::string> all;
  for (const nlohmann::json& event : events) all.push_back(event.at("name"));
  return all;
}

// What viewers need of complete events: names, places and times, and ranges of one thread inside each other or apart.
void expect_shape(const nlohmann::json& profile) {
  std::map<std::int64_t, std::vector<std::pair<double, double>>> by_thread;
  for (const nlohmann::json& event : profile.at("traceEvents")) {
    EXPECT_TRUE(event.at("name").is_string());
    EXPECT_TRUE(event.at("pid").is_number_integer());
    if (event.at("ph") == "M") {
      EXPECT_TRUE(event.at("args").at("name").is_string());
      continue;
    }
    ASSERT_EQ(event.at("ph"), "X");
    EXPECT_GE(event.at("dur").get<double>(), 0);
    const double start = event.at("ts"), end = start + event.at("dur").get<double>();
    by_thread[event.at("tid").get<std::int64_t>()].emplace_back(start, -end);
  }
  constexpr double kRounding = 0.002;  // microseconds, of times that are printed with three decimals
  for (auto& [thread, spans] : by_thread) {
    std::sort(spans.begin(), spans.end());
    std::vector<double> open;  // ends
    for (const auto& [start, minus_end] : spans) {
      while (!open.empty() && open.back() <= start + kRounding) open.pop_back();
      if (!open.empty())
        EXPECT_LE(-minus_end, open.back() + kRounding) << "ranges of thread " << thread << " cross";
      open.push_back(-minus_end);
    }
  }
}

class StepProfileOfRun : public CaptionWorld {
 protected:
  std::filesystem::path profile_of(const StageConfig& c, const std::string& steps) const {
    return std::filesystem::path(c.output) / "profile" / ("steps-" + steps + "-rank-0.json");
  }
};

TEST_F(StepProfileOfRun, HoldsOurRangesAndTheOperatorsOfItsSteps) {
  StageConfig c = config("profiled");
  c.checkpoint_steps = 3;
  run_stage(c, {.run = {}, .profile = StepRange{2, 3}});
  const nlohmann::json profile = read_profile(profile_of(c, "2-3"));
  expect_shape(profile);
  EXPECT_EQ(profile.at("otherData").at("dropped_events"), 0);
  const std::vector<nlohmann::json> steps = ranges(profile, "step"), own = ranges(profile, "omni");
  EXPECT_THAT(names(steps), ::testing::ElementsAre("step 2", "step 3"));
  const std::vector<std::string> own_names = names(own);
  for (const auto& [name, times] :
       std::map<std::string, std::ptrdiff_t>{{"forward", 4},  // two micro-batches a step
                                             {"backward", 4},
                                             {"optimizer", 2},
                                             {"wait for data", 2},
                                             {"wait for communication", 2},
                                             {"checkpoint", 1}})
    EXPECT_EQ(std::count(own_names.begin(), own_names.end(), name), times) << name;
  // All of them but the loader's inside the steps.
  for (const nlohmann::json& event : own) {
    if (event.at("name") == "data") continue;
    EXPECT_TRUE(std::any_of(steps.begin(), steps.end(), [&](const nlohmann::json& step) {
      return event.at("tid") == step.at("tid") && event.at("ts") >= step.at("ts") &&
             event.at("ts").get<double>() + event.at("dur").get<double>() <=
                 step.at("ts").get<double>() + step.at("dur").get<double>() + 0.01;
    })) << event;
  }
  EXPECT_THAT(names(ranges(profile, "aten")), Contains("aten::_fused_adamw_"));
  EXPECT_THAT(ranges(profile, "autograd"), ::testing::Not(IsEmpty()));
}

TEST_F(StepProfileOfRun, ChangesNothingOfTheRun) {
  StageConfig plain = config("plain"), profiled = config("profiled");
  plain.checkpoint_steps = profiled.checkpoint_steps = 12;
  run_stage(plain, {});
  run_stage(profiled, {.run = {}, .profile = StepRange{1, 100}});
  EXPECT_EQ(last_shard("plain"), last_shard("profiled"));
  EXPECT_EQ(timeless_metrics("plain"), timeless_metrics("profiled"));
  // The run ended before its profile would have.
  EXPECT_EQ(ranges(read_profile(profile_of(profiled, "1-100")), "step").size(), 12u);
}

TEST_F(StepProfileOfRun, ThereIsNoneOfStepsThatAreNotTaken) {
  const StageConfig c = config("short");
  run_stage(c, {.run = {}, .profile = StepRange{13, 14}});
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(c.output) / "profile"));
}

TEST(StepProfile, KeepsSoManyEventsAndCountsTheRest) {
  const test::TemporaryDirectory folder;
  StepProfile profile({5, 5}, folder / "profile.json", 3, 10);
  profile.begin(4);
  (void)at::ones({2});  // of no step that is asked for
  profile.end(4);
  profile.begin(5);
  for (int i = 0; i < 100; ++i) {
    RECORD_USER_SCOPE("of \"ours\"");
  }
  profile.end(5);
  (void)at::ones({2});
  const nlohmann::json written = read_profile(folder / "profile.json");
  expect_shape(written);
  EXPECT_EQ(ranges(written, "omni").size(), 10u);
  EXPECT_EQ(ranges(written, "omni").front().at("name"), "of \"ours\"");
  EXPECT_EQ(ranges(written, "omni").front().at("pid"), 3);
  EXPECT_THAT(ranges(written, "aten"), IsEmpty());
  EXPECT_EQ(ranges(written, "step").size(), 1u);
  EXPECT_EQ(written.at("otherData").at("dropped_events"), 90);
}

TEST(StepProfile, SeesEveryThread) {
  const test::TemporaryDirectory folder;
  StepProfile profile({1, 1}, folder / "profile.json", 0);
  profile.begin(1);
  std::thread([] { RECORD_USER_SCOPE("elsewhere"); }).join();
  profile.end(1);
  const nlohmann::json written = read_profile(folder / "profile.json");
  const auto elsewhere = ranges(written, "omni");
  ASSERT_EQ(elsewhere.size(), 1u);
  EXPECT_NE(elsewhere.front().at("tid"), ranges(written, "step").front().at("tid"));
}

}  // namespace
}  // namespace omni::training
