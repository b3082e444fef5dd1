#include "accelerator.h"

#include <gmock/gmock.h>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "temporary_directory.h"

namespace omni::training {
namespace {

std::string refusal(const std::string& name_or_file) {
  try {
    (void)find_accelerator(name_or_file);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << name_or_file << " was taken";
  return "";
}

TEST(Accelerator, GpusAreKnownByName) {
  EXPECT_EQ(find_accelerator("h100").memory_gb, 80);
  EXPECT_EQ(find_accelerator("h100").operations_per_second(), 0.4 * 989e12);
  for (const std::string& name : accelerator_names()) EXPECT_EQ(find_accelerator(name).name, name);
  EXPECT_THAT(refusal("h900"), testing::HasSubstr("a100, h100, h200"));
}

TEST(Accelerator, OthersAreDescribedInAFile) {
  const test::TemporaryDirectory folder;
  const std::string path = (folder.path() / "core.yaml").string();
  write_file_atomically(path,
                        "peak_tflops: 0.2\nutilisation: 0.5\nnetwork_gb_per_second: 1.25\nnode_size: 1\n");
  const Accelerator core = find_accelerator(path);
  EXPECT_EQ(core.name, "core");
  EXPECT_DOUBLE_EQ(core.operations_per_second(), 1e11);
  EXPECT_EQ(core.network_gb_per_second, 1.25);
  EXPECT_EQ(core.node_size, 1);
  EXPECT_EQ(core.memory_gb, find_accelerator("h100").memory_gb) << "what is not told";
  write_file_atomically(path, "peak_tflops: 0\n");
  EXPECT_THAT(refusal(path), testing::HasSubstr("peak_tflops"));
  write_file_atomically(path, "peak_teraflops: 1\n");
  EXPECT_THAT(refusal(path), testing::HasSubstr("peak_tflops"));
}

}  // namespace
}  // namespace omni::training
