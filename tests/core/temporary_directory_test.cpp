#include "temporary_directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace omni::test {
namespace {

namespace fs = std::filesystem;

// A test that is killed leaves its folders, and process numbers are given out anew.
TEST(TemporaryDirectory, IsEmptyWhateverAnEarlierProcessOfThisNumberLeft) {
  std::vector<fs::path> left;
  for (int i = 0; i < 9; ++i) {
    fs::path folder =
        fs::temp_directory_path() / ("omni-test-" + std::to_string(::getpid()) + "-" + std::to_string(i));
    if (fs::create_directories(folder / "left")) left.push_back(std::move(folder));
  }
  {
    const TemporaryDirectory first, second;
    EXPECT_TRUE(fs::is_empty(first.path()));
    EXPECT_TRUE(fs::is_empty(second.path()));
    EXPECT_NE(first.path(), second.path());
  }
  for (const fs::path& folder : left) fs::remove_all(folder);
}

}  // namespace
}  // namespace omni::test
