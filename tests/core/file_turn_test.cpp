#include "omni/core/file_turn.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni {
namespace {

TEST(FileTurn, ComesWhenTheOthersIsOver) {
  const test::TemporaryDirectory scratch;
  const std::filesystem::path file = scratch / "weights";
  write_file_atomically(file, std::string_view("numbers"));
  auto first = std::make_unique<FileTurn>(file, "waiting");
  std::atomic<bool> over = false, seen_over = false;
  std::thread other([&] {
    const FileTurn second(file, "waiting");
    seen_over = over.load();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  over = true;
  first.reset();
  other.join();
  EXPECT_TRUE(seen_over);
  EXPECT_EQ(read_file_text(file), "numbers");
}

TEST(FileTurn, ComesAtOnceWhereThereIsNoFile) {
  const test::TemporaryDirectory scratch;
  const FileTurn turn(scratch / "absent", "waiting");
  EXPECT_FALSE(std::filesystem::exists(scratch / "absent"));
}

}  // namespace
}  // namespace omni
