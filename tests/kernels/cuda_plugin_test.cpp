#include "omni/kernels/cuda_plugin.h"

#include <gtest/gtest.h>

namespace omni::kernels {
namespace {

TEST(CudaPlugin, TellsWhatItFound) {
  const CudaPluginStatus& status = cuda_plugin_status();
  EXPECT_FALSE(status.detail.empty());
  EXPECT_GE(status.devices, 0);
  if (!status.loaded) EXPECT_EQ(status.devices, 0);
}

}  // namespace
}  // namespace omni::kernels
