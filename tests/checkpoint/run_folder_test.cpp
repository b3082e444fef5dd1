#include "omni/checkpoint/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint_fixture.h"
#include "omni/checkpoint/reader.h"
#include "omni/core/error.h"

namespace omni::checkpoint {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(CheckpointRetention, KeepsTheNewestAndThoseOfEverySoManySteps) {
  const RunFolder run;
  for (std::int64_t step = 10; step <= 80; step += 10) run.save(step, {.kept = 2, .every = 30});
  EXPECT_THAT(run.steps(), ElementsAre(30, 60, 70, 80));
  for (const std::int64_t step : run.steps()) EXPECT_THAT(damage_of(run.at(step)), IsEmpty());
  retire(run.path(), {.kept = 1, .every = 0, .step = 60});
  EXPECT_THAT(run.steps(), ElementsAre(60, 80));
  retire(run.path(), {.kept = 1, .every = 0});
  EXPECT_THAT(run.steps(), ElementsAre(80));
  EXPECT_FALSE(fs::exists(run.at(70)));
}

TEST(CheckpointChoice, ADamagedOneIsNamedAndTheOneBeforeTaken) {
  const RunFolder run;
  EXPECT_EQ(newest_sound(run.path()), std::nullopt);
  for (const std::int64_t step : {1, 2, 3, 4}) run.save(step);
  EXPECT_EQ(newest_sound(run.path()), run.at(4));
  flip_a_bit(run.at(4) / shard_name(0, 1));
  fs::remove(run.at(3) / kManifestName);
  testing::internal::CaptureStderr();
  EXPECT_EQ(newest_sound(run.path()), run.at(2));
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_THAT(said, testing::ContainsRegex("step-00000004/shard-.*checksum.*step-00000003/manifest.json.*"
                                           "missing.*step-00000002"));
  fs::resize_file(run.at(2) / shard_name(0, 1), 9);
  flip_a_bit(run.at(1) / kManifestName);
  try {
    newest_sound(run.path());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    for (const char* part : {"step-00000004", "step-00000002", "step-00000001", "remove that folder"})
      EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

// Where each step that a process takes in saving and removing may be its last.
TEST(CheckpointTidying, RemovesHalvesAndPutsDamagedOnesAside) {
  const RunFolder run;
  for (const std::int64_t step : {1, 2, 3, 4}) run.save(step);
  fs::remove(run.at(1) / kManifestName);     // killed while it was removed
  flip_a_bit(run.at(4) / shard_name(0, 1));  // damaged, newer than the one taken
  fs::create_directories(run.at(5));         // killed while it was written
  write_file_atomically(run.at(5) / "shard-00000-of-00001.safetensors.7.0.tmp", "half");
  fs::create_directories(run.path() / "common.7.0.tmp");
  tidy(run.path(), 3);
  EXPECT_THAT(run.steps(), ElementsAre(2, 3));
  EXPECT_FALSE(fs::exists(run.at(1)));
  EXPECT_FALSE(fs::exists(run.at(5)));
  EXPECT_FALSE(fs::exists(run.path() / "common.7.0.tmp"));
  EXPECT_TRUE(fs::exists(run.path() / "step-00000004.damaged" / kManifestName));
  EXPECT_THAT(damage_of(run.at(3)), IsEmpty());
}

TEST(CheckpointSpace, TooLittleIsSaidBeforeAnythingIsWritten) {
  const test::TemporaryDirectory folder;
  const auto available = static_cast<std::uint64_t>(fs::space(folder.path()).available);
  require_space(folder / "run" / "checkpoints", available / 8, 4);
  try {
    require_space(folder / "run" / "checkpoints", available, 3);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_THAT(error.what(), testing::ContainsRegex("3 checkpoints of .* GB .*checkpoints_kept"));
  }
  EXPECT_FALSE(fs::exists(folder / "run"));
}

}  // namespace
}  // namespace omni::checkpoint
