#include "omni/kernels/cuda_plugin.h"

#include <gtest/gtest.h>

#include <cstdlib>

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

// The host is a GPU of whatever kind is wanted; see tests/host_gpu.
TEST(CudaPluginHostGpu, OlderGpusAreRefusedByName) {
  if (!gpu_refusal().empty() || describe_gpu(0).name != "the host") GTEST_SKIP() << "the host plays no GPU";
  EXPECT_EQ(describe_gpu(0).text(), "the host (sm_90)");
  EXPECT_NO_THROW(require_capable_gpu("knitting", 0));
  ::setenv("OMNI_HOST_GPU_KIND", "80 NVIDIA A100-SXM4-80GB", 1);
  EXPECT_NO_THROW(require_capable_gpu("knitting", 0));
  ::setenv("OMNI_HOST_GPU_KIND", "75 Tesla T4", 1);
  try {
    require_capable_gpu("knitting", 0);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what())
                  .find("knitting on GPU 0, Tesla T4 (sm_75): omni's kernels need a GPU of sm_80"),
              std::string::npos)
        << error.what();
  }
  ::unsetenv("OMNI_HOST_GPU_KIND");
}

}  // namespace
}  // namespace omni::kernels
