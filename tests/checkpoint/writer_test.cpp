#include "omni/checkpoint/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <condition_variable>
#include <csignal>
#include <mutex>

#include "checkpoint_fixture.h"
#include "omni/checkpoint/reader.h"
#include "omni/core/error.h"

namespace omni::checkpoint {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// No file of this process may grow beyond so many bytes: what a full disk does, without one.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST(CheckpointFault, AFullDiskLeavesTheOlderOneAndNoHalf) {
  const RunFolder run;
  run.save(1);
  const KnownTensors tensors(2);
  CheckpointWriter writer({run.path(), 0, 1, nullptr, {.kept = 1, .every = 0}});
  {
    testing::internal::CaptureStderr();
    const FileSizeLimit full(200);
    writer.start(run.manifest(2), tensors.pieces());
    EXPECT_THROW(writer.finish(), Error);
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                HasSubstr("the checkpoint of step 2 was not written"));
  }
  EXPECT_FALSE(fs::exists(run.at(2)));
  EXPECT_THAT(run.steps(), ElementsAre(1));
  EXPECT_THAT(damage_of(run.at(1)), IsEmpty());
  // The next one finds room again.
  writer.start(run.manifest(3), tensors.pieces());
  writer.finish();
  EXPECT_THAT(run.steps(), ElementsAre(3));
}

// A file system of a few kilobytes, where this process may mount one.
class TinyDisk {
 public:
  explicit TinyDisk(const fs::path& folder) : folder_(folder) {
    prepare_output_directory(folder);
    mounted_ = ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") == 0;
  }
  ~TinyDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  TinyDisk(const TinyDisk&) = delete;
  TinyDisk& operator=(const TinyDisk&) = delete;
  bool mounted() const { return mounted_; }

 private:
  fs::path folder_;
  bool mounted_ = false;
};

TEST(CheckpointFault, ADiskThatIsFullIsSurvived) {
  const test::TemporaryDirectory folder;
  const fs::path run = folder / "checkpoints";
  const TinyDisk disk(run);
  if (!disk.mounted()) GTEST_SKIP() << "only root may mount a file system";
  const std::vector<float> values(7000);  // 28,000 bytes: the disk holds two of them
  CheckpointWriter writer({run, 0, 1, nullptr, {.kept = 2, .every = 0}});
  testing::internal::CaptureStderr();
  const auto save = [&](std::int64_t step) {
    Manifest manifest;
    manifest.run.step = step;
    writer.start(std::move(manifest), {{"a.value", {7000}, 0, std::as_bytes(std::span(values))}});
    writer.finish();
  };
  save(1);
  save(2);
  try {
    save(3);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_THAT(error.what(), HasSubstr("No space left"));
  }
  testing::internal::GetCapturedStderr();
  EXPECT_FALSE(fs::exists(checkpoint_path(run, 3)));
  EXPECT_EQ(newest_sound(run), checkpoint_path(run, 2));
  EXPECT_THAT(damage_of(checkpoint_path(run, 1)), IsEmpty());
  EXPECT_THROW(require_space(run, 28'000, 3), Error);
  require_space(run, 28'000, 2);
}

TEST(CheckpointFault, AFolderThatCannotBeWrittenToIsSaid) {
  const RunFolder run;
  write_file_atomically(run.at(2), "a file in the way");
  const KnownTensors tensors(2);
  CheckpointWriter writer({run.path(), 0, 1, nullptr, {}});
  testing::internal::CaptureStderr();
  writer.start(run.manifest(2), tensors.pieces());
  try {
    writer.finish();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_THAT(error.what(), HasSubstr("step-00000002"));
  }
  testing::internal::GetCapturedStderr();
}

// Ranks as processes would be: each writes its shard, the first one the manifest once it has heard of all.
class Ranks {
 public:
  explicit Ranks(int ranks) : reports_(static_cast<std::size_t>(ranks)) {}
  GatherReports gather(int rank) {
    return [this, rank](std::int64_t, const ShardReport& own) {
      std::unique_lock lock(mutex_);
      reports_[static_cast<std::size_t>(rank)] = own;
      ++arrived_;
      all_.notify_all();
      all_.wait(lock, [&] { return arrived_ == reports_.size(); });
      return reports_;
    };
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_;
  std::size_t arrived_ = 0;
  std::vector<ShardReport> reports_;
};

TEST(CheckpointWriting, ACheckpointIsThereOnceAllRanksHaveWritten) {
  const RunFolder run;
  const KnownTensors tensors(4);
  Ranks ranks(2);
  CheckpointWriter first({run.path(), 0, 2, ranks.gather(0), {}}),
      second({run.path(), 1, 2, ranks.gather(1), {}});
  first.start(run.manifest(4), tensors.pieces(0, 2));
  while (!fs::exists(run.at(4) / shard_name(0, 2))) std::this_thread::yield();
  EXPECT_THAT(run.steps(), IsEmpty());
  second.start(run.manifest(4), tensors.pieces(1, 2));
  first.finish();
  second.finish();
  EXPECT_THAT(run.steps(), ElementsAre(4));
  EXPECT_THAT(damage_of(run.at(4)), IsEmpty());
}

TEST(CheckpointFault, OneRankThatCannotWriteSpoilsItForAll) {
  const RunFolder run;
  const KnownTensors tensors(4);
  Ranks ranks(2);
  CheckpointWriter first({run.path(), 0, 2, ranks.gather(0), {}}),
      second({run.path(), 1, 2, ranks.gather(1), {}});
  testing::internal::CaptureStderr();
  prepare_output_directory(run.at(4) / shard_name(1, 2));  // where the second one wants to put its file
  first.start(run.manifest(4), tensors.pieces(0, 2));
  second.start(run.manifest(4), tensors.pieces(1, 2));
  EXPECT_THROW(first.finish(), Error);
  EXPECT_THROW(second.finish(), Error);
  testing::internal::GetCapturedStderr();
  EXPECT_FALSE(fs::exists(run.at(4)));
}

}  // namespace
}  // namespace omni::checkpoint
