#include "omni/kernels/cuda_plugin.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni::kernels {
namespace {

TEST(CudaPlugin, TellsWhatItFound) {
  const CudaPluginStatus& status = cuda_plugin_status();
  EXPECT_FALSE(status.detail.empty());
  EXPECT_GE(status.devices, 0);
  if (!status.loaded) EXPECT_EQ(status.devices, 0);
}

TEST(CudaPlugin, WorkThatNeedsAGpuIsRefusedWithTheReason) {
  if (gpu_refusal().empty()) GTEST_SKIP() << "there is a GPU here";
  try {
    require_gpu("knitting");
    FAIL() << "a GPU was found after all";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("knitting on the device cuda: " + gpu_refusal()),
              std::string::npos);
  }
}

}  // namespace
}  // namespace omni::kernels
