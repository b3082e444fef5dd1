// What becomes of a run whose process is killed, or whose disk refuses, at any moment.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "caption_world.h"
#include "omni/checkpoint/reader.h"
#include "omni/checkpoint/run_folder.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "omni/core/random.h"
#include "omni/training/trainer.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

const TrainerOptions kAsLaunchersDo{.run = {.resume = Resume::automatic, .allowed_changes = {}},
                                    .dry_run = false};

class TrainingFault : public CaptionWorld {
 protected:
  fs::path checkpoints() const { return folder_.path() / "run" / "checkpoints"; }
};

// A place where nothing can be written, as on a full disk, for one checkpoint.
TEST_F(TrainingFault, ACheckpointThatCannotBeWrittenIsTriedAgainAtTheNextTime) {
  StageConfig c = config("run");
  c.checkpoint_steps = 4;
  c.checkpoints_kept = 9;
  prepare_output_directory(checkpoints());
  write_file_atomically(checkpoints() / "step-00000008", "in the way");
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_stage(c, {}).steps, 12);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::HasSubstr("the checkpoint of step 8 was not written"));
  EXPECT_THAT(saved_steps(c), testing::ElementsAre(4, 12));
}

TEST_F(TrainingFault, ARunWhoseLastCheckpointCannotBeWrittenFailsAndKeepsItsBundle) {
  StageConfig c = config("run");
  c.checkpoint_steps = 4;
  prepare_output_directory(checkpoints());
  write_file_atomically(checkpoints() / "step-00000012", "in the way");
  testing::internal::CaptureStderr();
  try {
    run_stage(c, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_THAT(error.what(), testing::HasSubstr("step-00000012"));
  }
  testing::internal::GetCapturedStderr();
  EXPECT_TRUE(fs::exists(folder_.path() / "run" / "bundle" / "bundle.yaml"));
  fs::remove(checkpoints() / "step-00000012");
  EXPECT_EQ(run_stage(c, kAsLaunchersDo).steps, 12);
  EXPECT_THAT(checkpoint::damage_of(checkpoints() / "step-00000012"), testing::IsEmpty());
}

class TrainingFaultSlow : public TrainingFault {
 protected:
  StageConfig killed_config(const std::string& output) const {
    StageConfig c = config(output);
    c.steps = 40;
    c.checkpoint_steps = 2;
    c.checkpoints_kept = 2;
    c.checkpoint_keep_every = 10;
    c.log_steps = 3;
    return c;
  }

  // In a process of its own; one thread, for a forked process has no others.
  static pid_t start(const StageConfig& config) {
    const pid_t id = ::fork();
    if (id != 0) return id;
    int code = 1;
    try {
      at::set_num_threads(1);
      set_log_level(LogLevel::error);
      if (::freopen("/dev/null", "w", stderr) == nullptr) ::_exit(1);
      run_stage(config, kAsLaunchersDo);
      code = 0;
    } catch (const std::exception& error) {
      write_file_atomically(config.output + ".error", error.what());
    }
    ::_exit(code);
  }

  // Whether every checkpoint that should be there is, whole. Returns the newest one's step.
  static std::int64_t expect_nothing_lost(const fs::path& checkpoints, std::int64_t newest_before) {
    std::int64_t newest = 0;
    for (const auto& entry : checkpoint::checkpoints_in(checkpoints)) {
      newest = entry.step;
      EXPECT_THAT(checkpoint::damage_of(entry.path), testing::IsEmpty());
    }
    EXPECT_GE(newest, newest_before);
    for (std::int64_t step = 10; step <= newest; step += 10)
      EXPECT_TRUE(checkpoint::is_checkpoint(checkpoint::checkpoint_path(checkpoints, step))) << step;
    return newest;
  }
};

TEST_F(TrainingFaultSlow, ARunThatIsKilledAtAnyMomentEndsAsTheUndisturbedOne) {
  const StageConfig whole = killed_config("whole");
  const auto begin = std::chrono::steady_clock::now();
  int status = 0;
  ::waitpid(start(whole), &status, 0);
  ASSERT_EQ(status, 0);
  const double whole_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  CounterRng rng(5);
  constexpr int kKills = 100;
  for (int kills = 0, run = 0; kills < kKills; ++run) {
    const StageConfig c = killed_config("run" + std::to_string(run));
    const fs::path checkpoints = fs::path(c.output) / "checkpoints";
    std::int64_t newest = 0;
    while (true) {
      const pid_t child = start(c);
      // Short lives first of all: the most that can go wrong does so at the start and in saving.
      std::this_thread::sleep_for(std::chrono::duration<double>(rng.uniform() * 0.5 * whole_seconds));
      if (kills < kKills) ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      newest = expect_nothing_lost(checkpoints, newest);
      if (!WIFSIGNALED(status)) break;
      ++kills;
    }
    ASSERT_EQ(status, 0) << (fs::exists(c.output + ".error") ? read_file_text(c.output + ".error") : "");
    const fs::path last = "checkpoints/step-00000040/shard-00000-of-00001.safetensors";
    EXPECT_EQ(read_file_bytes(c.output / last), read_file_bytes(whole.output / last));
    EXPECT_EQ(read_file_bytes(fs::path(c.output) / "bundle" / "model.safetensors"),
              read_file_bytes(fs::path(whole.output) / "bundle" / "model.safetensors"));
    EXPECT_EQ(timeless_metrics("run" + std::to_string(run)), timeless_metrics("whole"));
    for (const fs::path& path : files_below(c.output)) EXPECT_NE(path.extension(), ".tmp") << path;
    if (::testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace omni::training
