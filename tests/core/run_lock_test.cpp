#include "omni/core/run_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

std::string refusal(const fs::path& file) {
  try {
    const RunLock lock(file, "training into 'run'");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "";
}

TEST(RunLock, TheSecondIsToldOfTheFirst) {
  const test::TemporaryDirectory folder;
  const fs::path file = folder / "a" / "b" / "run.lock";
  {
    const RunLock lock(file, "training into 'run'");
    const std::string held = read_file_text(file);
    EXPECT_THAT(refusal(file),
                testing::HasSubstr(concat("training into 'run': in use by process ", ::getpid())));
    EXPECT_THAT(refusal(file), testing::ContainsRegex("since 20[0-9-]+ [0-9:]+ UTC"));
    EXPECT_EQ(read_file_text(file), held);
  }
  EXPECT_FALSE(fs::exists(folder / "a"));
  EXPECT_EQ(refusal(file), "");
}

TEST(RunLock, FoldersThatHoldSomethingStay) {
  const test::TemporaryDirectory folder;
  {
    const RunLock lock(folder / "a" / "b" / "run.lock", "training");
    write_file_atomically(folder / "a" / "result", std::string_view("1"));
  }
  EXPECT_TRUE(fs::exists(folder / "a" / "result"));
  EXPECT_FALSE(fs::exists(folder / "a" / "b"));
}

// A process that was killed removes nothing, and its lock is free all the same.
TEST(RunLock, AKilledProcessHoldsNothing) {
  const test::TemporaryDirectory folder;
  const fs::path file = folder / "run.lock";
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const RunLock lock(file, "training");
    static_cast<void>(!::write(ready[1], "x", 1));
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT(refusal(file), testing::HasSubstr(concat("process ", child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(fs::exists(file));
  EXPECT_EQ(refusal(file), "");
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(RunLock, AFolderThatCannotBeMadeIsNamed) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "file", std::string_view("1"));
  try {
    const RunLock lock(folder / "file" / "run.lock", "training");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_THAT(error.what(), testing::HasSubstr("run.lock"));
  }
}

}  // namespace
}  // namespace omni
