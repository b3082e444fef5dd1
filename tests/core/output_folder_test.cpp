#include "omni/core/output_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni {
namespace {

constexpr std::array<std::string_view, 3> kWritten = {"index.json", "part-*.bin", "inner/weights"};

std::string refusal(const std::filesystem::path& folder) {
  try {
    require_only_written(folder, "index.json", kWritten);
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
}

TEST(RequireOnlyWritten, TakesItsOwnKindAndNamesWhatIsForeign) {
  const test::TemporaryDirectory place;
  const std::filesystem::path folder = place / "out";
  EXPECT_EQ(refusal(folder), "");
  std::filesystem::create_directories(folder / "inner");
  write_file_atomically(folder / "part-1.bin", "x");
  EXPECT_THAT(refusal(folder), testing::HasSubstr("no index.json"));
  write_file_atomically(folder / "index.json", "x");
  write_file_atomically(folder / "inner/weights", "x");
  EXPECT_EQ(refusal(folder), "");
  write_file_atomically(folder / "inner/notes", "mine");
  EXPECT_THAT(refusal(folder), testing::HasSubstr("'inner/notes'"));
  std::filesystem::remove(folder / "inner/notes");
  std::filesystem::create_directory_symlink("/tmp", folder / "scans");
  EXPECT_THAT(refusal(folder), testing::HasSubstr("'scans'"));
}

TEST(RequireOutside, RefusesASourceInTheFolderItself) {
  const test::TemporaryDirectory place;
  std::filesystem::create_directories(place / "out/meshes");
  std::filesystem::create_directories(place / "outer");
  std::filesystem::create_directory_symlink("out", place / "link");
  EXPECT_NO_THROW(require_outside(place / "outer", place / "out"));
  EXPECT_NO_THROW(require_outside(place / "out", place / "out/new"));
  for (const char* source : {"out", "out/meshes", "outer/../out/meshes", "link/meshes"})
    EXPECT_THROW(require_outside(place / source, place / "out/"), Error) << source;
  EXPECT_THROW(require_outside(place / "out/meshes", place / "link"), Error);
}

}  // namespace
}  // namespace omni
