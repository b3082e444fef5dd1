#include "omni/core/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "omni/core/content_hash.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "temporary_directory.h"

namespace omni {
namespace {

std::size_t entry_count(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

TEST(AtomicFile, AppearsWholeOnCommitAndReplacesTheOldOne) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new ");
    EXPECT_EQ(read_file_text(folder / "a"), "old");
    file.write("text");
    file.commit();
  }
  EXPECT_EQ(read_file_text(folder / "a"), "new text");
  EXPECT_EQ(entry_count(folder.path()), 1u);
}

TEST(AtomicFile, LeavesNothingBehindWhenAbandoned) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("half");
  }
  EXPECT_EQ(read_file_text(folder / "a"), "old");
  EXPECT_EQ(entry_count(folder.path()), 1u);
}

TEST(AtomicFile, NamesThePathWhereItCannotWrite) {
  try {
    write_file_atomically("/nonexistent-folder/x", "text");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_THAT(error.what(), testing::HasSubstr("/nonexistent-folder/x"));
  }
}

// A file size limit stands in for a full disk: write(2) fails half way in both. The limit holds for a whole
// process, so it is set in a child.
TEST(AtomicFile, AFailedWriteLeavesTheOldFileAndNoRemains) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "a", "old");
  const auto write_too_much = [&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) std::exit(2);
    try {
      write_file_atomically(folder / "a", std::string(100'000, 'x'));
    } catch (const Error& error) {
      std::exit(error.kind() == ErrorKind::io ? 0 : 3);
    }
    std::exit(1);
  };
  EXPECT_EXIT(write_too_much(), testing::ExitedWithCode(0), "");
  EXPECT_EQ(read_file_text(folder / "a"), "old");
  EXPECT_EQ(entry_count(folder.path()), 1u);
}

TEST(AtomicDirectory, AppearsWholeAndReplacesTheOldOne) {
  const test::TemporaryDirectory folder;
  for (const char* text : {"first", "second"}) {
    AtomicDirectory directory(folder / "bundle", "x");
    write_file_atomically(directory.staging_path() / "x", text);
    directory.commit();
    EXPECT_EQ(read_file_text(folder.path() / "bundle" / "x"), text);
  }
  {
    AtomicDirectory abandoned(folder / "bundle", "x");
    write_file_atomically(abandoned.staging_path() / "x", "third");
  }
  EXPECT_EQ(read_file_text(folder.path() / "bundle" / "x"), "second");
  EXPECT_EQ(entry_count(folder.path()), 1u);
}

TEST(AtomicDirectory, RemovesNothingButItsOwnKind) {
  const test::TemporaryDirectory folder;
  std::filesystem::create_directories(folder.path() / "empty");
  std::filesystem::create_directories(folder.path() / "thesis");
  write_file_atomically(folder.path() / "thesis" / "text", "years of work");
  write_file_atomically(folder / "file", "x");
  AtomicDirectory(folder / "empty", "marker").commit();
  for (const char* taken : {"thesis", "file"}) {
    try {
      AtomicDirectory directory(folder / taken, "marker");
      ADD_FAILURE() << taken;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_THAT(error.what(), testing::HasSubstr(taken));
    }
  }
  EXPECT_EQ(read_file_text(folder.path() / "thesis" / "text"), "years of work");
  EXPECT_EQ(entry_count(folder.path()), 3u);
}

// A process that is killed in the middle cannot clean up; the next one does, and leaves the living alone.
TEST(AtomicDirectory, RemovesWhatAKilledProcessLeft) {
  const test::TemporaryDirectory folder;
  const auto be_killed = [&] {
    AtomicDirectory directory(folder / "bundle", "x");
    write_file_atomically(directory.staging_path() / "x", "half");
    std::raise(SIGKILL);
  };
  EXPECT_EXIT(be_killed(), testing::KilledBySignal(SIGKILL), "");
  ASSERT_EQ(entry_count(folder.path()), 1u);
  // One of an earlier process of the same number, as in a container.
  std::filesystem::create_directory(folder / concat("bundle.", ::getpid(), ".7.tmp"));
  std::filesystem::create_directory(folder / "bundle.old.tmp");  // somebody's own
  AtomicDirectory living(folder / "bundle", "x");
  EXPECT_EQ(entry_count(folder.path()), 2u);
  AtomicDirectory second(folder / "bundle", "x");
  EXPECT_TRUE(std::filesystem::exists(living.staging_path()));
  EXPECT_TRUE(std::filesystem::exists(second.staging_path()));
  EXPECT_TRUE(std::filesystem::exists(folder / "bundle.old.tmp"));
}

// Each looks for abandoned ones while the others begin theirs.
TEST(AtomicDirectory, ThreadsThatFillTheSameFolderLeaveEachOtherAlone) {
  const test::TemporaryDirectory folder;
  std::atomic<int> lost{0};
  const auto fill = [&] {
    for (int round = 0; round < 200; ++round) {
      try {
        const AtomicDirectory directory(folder / "bundle", "x");
        write_file_atomically(directory.staging_path() / "x", "text");
      } catch (const Error&) {
        ++lost;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(fill);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(entry_count(folder.path()), 0u);
}

TEST(AtomicDirectory, FillsWhatALinkLeadsTo) {
  const test::TemporaryDirectory folder;
  std::filesystem::create_directories(folder / "disk/data");
  std::filesystem::create_directory_symlink("disk/data", folder / "link");
  std::filesystem::create_directory_symlink("nowhere", folder / "broken");
  AtomicDirectory directory(folder / "link", "x");
  write_file_atomically(directory.staging_path() / "x", "text");
  directory.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(read_file_text(folder / "disk/data/x"), "text");
  EXPECT_THROW(AtomicDirectory(folder / "broken", "x"), Error);
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "broken"));
}

TEST(LowerExtension, IsTheEndingInSmallLetters) {
  EXPECT_EQ(lower_extension("a.b/Chair.GLB"), ".glb");
  EXPECT_EQ(lower_extension("a.b/chair"), "");
}

TEST(RequireWritable, LooksAtWhatExistsAndCreatesNothing) {
  const test::TemporaryDirectory folder;
  require_writable(folder / "a/b/c");
  EXPECT_EQ(entry_count(folder.path()), 0u);
  write_file_atomically(folder / "file", "x");
  EXPECT_THROW(require_writable(folder / "file/x"), Error);
}

TEST(ReadFile, RefusesFoldersMissingAndTooLargeFiles) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "a", "12345");
  EXPECT_THROW(read_file_bytes(folder.path()), Error);
  EXPECT_THROW(read_file_bytes(folder / "absent"), Error);
  EXPECT_THROW(read_file_bytes(folder / "a", 4), Error);
  EXPECT_EQ(read_file_text(folder / "a", 5), "12345");
  EXPECT_FALSE(read_file_text("/proc/self/status").empty());
}

TEST(ContentHash, IsOfNamesAndBytes) {
  const test::TemporaryDirectory folder;
  const auto write = [&](const char* where, const std::string& name, std::string_view text) {
    std::filesystem::create_directories((folder / where / name).parent_path());
    write_file_atomically(folder / where / name, text);
  };
  for (const char* where : {"first", "second"}) {
    write(where, "below/b", "two");
    write(where, "a", "one");
  }
  const std::uint64_t hash = content_hash(folder / "first");
  write("first", "left", "over");
  EXPECT_NE(content_hash(folder / "first"), hash);
  EXPECT_EQ(content_hash(folder / "first", [](const auto& file) { return file.filename() != "left"; }), hash);
  std::filesystem::remove(folder / "first" / "left");
  EXPECT_EQ(content_hash(folder / "second"), hash);
  EXPECT_EQ(content_hash(folder / "first" / "a"), hash_string("one"));
  write("second", "a", "One");
  EXPECT_NE(content_hash(folder / "second"), hash);
  std::filesystem::rename(folder / "first" / "a", folder / "first" / "c");
  EXPECT_NE(content_hash(folder / "first"), hash);
  EXPECT_THROW(content_hash(folder / "absent"), Error);
}

}  // namespace
}  // namespace omni
