// What a training step does between host and device, as the GPU that the host plays counts it.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include "small_world.h"
#include "test_device.h"

namespace omni::model {
namespace {

using Count = std::int64_t (*)();
Count count_of(const char* name) { return reinterpret_cast<Count>(::dlsym(RTLD_DEFAULT, name)); }

class HostGpuStep : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!count_of("omni_host_gpu_reads")) GTEST_SKIP() << "the host plays no GPU";
    ASSERT_EQ(test::device_refusal(), "");
  }
};
INSTANTIATE_TEST_SUITE_P(Streams, HostGpuStep, testing::Values("one", "two_all", "two_generated"),
                         [](const auto& info) { return info.param; });

TEST_P(HostGpuStep, CopiesOnceAndWaitsForNothing) {
  TransformerConfig config = GetParam() == "one" ? small_config() : two_stream_config(GetParam().substr(4));
  config.width = 128;
  config.heads = 2;
  config.dropout = 0.1;
  const sequence::Vocabulary vocabulary = small_vocabulary();
  Transformer model(config, vocabulary, small_layout(), 5, small_codebooks());
  model.to(test::device());
  const sequence::PackedSequence sequence = packed(
      {random_document(1, !config.drops_text()), random_document(2, !config.drops_text())}, vocabulary);
  const Count uploads = count_of("omni_host_gpu_uploads"), reads = count_of("omni_host_gpu_reads");
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (const auto [recompute, fused] :
         {std::pair(false, false), {true, false}, {false, true}, {true, true}}) {
      model.set_activation_type(type);
      model.set_recompute(recompute);
      model.set_fused_kernels(fused ? kernels::FusedKernels({"all"}) : kernels::FusedKernels());
      std::int64_t copied = uploads(), read = reads();
      const PreparedBatch batch = model.prepare(sequence, {.task_count = 1});
      EXPECT_EQ(uploads(), copied) << "preparing is no work for the device";
      const TransformerLoss loss = model.loss(batch, {.z_loss = 0.01, .modality_weights = {1, 2, 3}});
      loss.objective.sum().backward();
      EXPECT_EQ(uploads(), copied + 1);
      EXPECT_EQ(reads(), read);
      read = reads();
      LossSums::read(loss.sums);
      EXPECT_EQ(reads(), read + 1);
    }
}

}  // namespace
}  // namespace omni::model
