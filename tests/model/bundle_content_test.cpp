#include "omni/model/bundle_content.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni::model {
namespace {

// Sampling and measuring a bundle leave files in it, by which no training that started from it becomes another one.
TEST(BundleContent, IsThatOfItsOwnFiles) {
  const test::TemporaryDirectory folder;
  write_file_atomically(folder / "bundle.yaml", std::string_view("width: 8"));
  const std::uint64_t before = bundle_content_hash(folder.path());
  write_file_atomically(folder / "figures.json", std::string_view("{}"));
  write_file_atomically(folder / "model.bf16.panels", std::string_view("packed"));
  write_file_atomically(folder / "text_tower.stamp", std::string_view("stamp"));
  EXPECT_EQ(bundle_content_hash(folder.path()), before);
  write_file_atomically(folder / "words.json", std::string_view("{}"));
  EXPECT_NE(bundle_content_hash(folder.path()), before);
  EXPECT_THROW((void)bundle_content_hash(folder / "absent"), Error);
}

}  // namespace
}  // namespace omni::model
