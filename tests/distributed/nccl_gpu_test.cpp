// NCCL on a GPU, or its double on the one that the host plays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nccl_collectives.h"
#include "omni/core/error.h"
#include "omni/kernels/tensor.h"
#include "rank_processes.h"
#include "test_device.h"

namespace omni::distributed {
namespace {

class DistributedNcclGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (test::rehearsing()) GTEST_SKIP() << "NCCL has no processor";
    if (const std::string why = test::device_refusal(); !why.empty()) GTEST_SKIP() << why;
  }
};

// All that NCCL does for one rank is a copy: what is seen here is that the library loads, that a communicator is
// made and that its stream keeps its order with the caller's.
TEST_F(DistributedNcclGpu, OneCommunicatorOfOneRank) {
  const std::unique_ptr<Store> store = Store::serve(0, "test");
  const at::Device device = test::device();
  const std::unique_ptr<Collectives> alone =
      make_nccl_collectives(*store, {0, {"here"}}, device, std::chrono::seconds(60));
  EXPECT_EQ(alone->size(), 1);
  constexpr std::int64_t kCount = 1 << 20;
  const at::Tensor truth = at::arange(kCount, at::kFloat);
  const at::Tensor values = truth.to(device);
  for (int i = 0; i < 20; ++i) {
    values.add_(1);  // on the caller's stream, before and after
    Pending sum = alone->all_reduce(values);
    Pending from = alone->broadcast(values, 0);
    sum.wait();
    from.wait();
    values.sub_(1);
  }
  EXPECT_TRUE(at::equal(values.cpu(), truth));
  const at::Tensor part = at::zeros({kCount}, values.options()),
                   whole = at::zeros({kCount}, values.options());
  alone->reduce_scatter(values, part).wait();
  alone->all_gather(part, whole).wait();
  EXPECT_TRUE(at::equal(whole.cpu(), truth));
  const at::Tensor halves = at::ones({7}, values.options().dtype(at::kBFloat16));
  alone->broadcast(halves, 0).wait();
  alone->barrier();
  EXPECT_EQ(halves.sum().item<float>(), 7);
  EXPECT_EQ(alone->calls_begun(), 44);
}

// NCCL refuses two ranks on one GPU; its double does not.
TEST_F(DistributedNcclGpu, SeveralRanksOnDeviceMemory) {
  if (std::getenv("OMNI_NCCL") == nullptr) GTEST_SKIP() << "one GPU is one rank";
  for (const char* scenario : {"every_call", "many_at_once", "trains"}) {
    RankProcesses ranks(3, scenario, {{"DEVICE", "cuda:0"}});
    for (const RankEnding& ending : ranks.wait(200))
      EXPECT_EQ(ending.code, 0) << scenario << '\n' << ending.output;
  }
}

TEST_F(DistributedNcclGpu, ARankThatHangsEndsAll) {
  if (std::getenv("OMNI_NCCL") == nullptr) GTEST_SKIP() << "one GPU is one rank";
  RankProcesses ranks(3, "hangs", {{"DEVICE", "cuda:0"}, {"CALL_MS", "1500"}, {"FAULTY_RANK", "1"}});
  for (const RankEnding& ending : ranks.wait(60)) {
    EXPECT_FALSE(ending.too_late);
    EXPECT_EQ(ending.code, exit_code(ErrorKind::io));
    EXPECT_THAT(ending.output, testing::HasSubstr("rank 1 on "));
    EXPECT_THAT(ending.output, testing::HasSubstr("hangs"));
  }
}

}  // namespace
}  // namespace omni::distributed
