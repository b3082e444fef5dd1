#include "omni/kernels/device_graph.h"

#include <gmock/gmock.h>

#include "omni/core/error.h"
#include "omni/kernels/tensor.h"
#include "test_device.h"

namespace omni::kernels {
namespace {

class DeviceGraphGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
    if (test::rehearsing()) GTEST_SKIP() << "the processor has no graphs of launches";
    x_ = at::zeros({3, 4}, at::TensorOptions(at::kFloat).device(test::device()));
  }
  static std::string error_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  at::Tensor x_;
};

TEST_F(DeviceGraphGpu, ReplaysOnWhatIsThereThen) {
  at::Tensor total = at::zeros({4}, x_.options()), product;
  const auto work = [&] {
    product = at::mm(x_.t(), x_);
    total.add_((x_ * 2 + 1).sum(0));
  };
  work();
  total.zero_();
  DeviceGraph graph(test::device());
  EXPECT_FALSE(graph.captured());
  graph.capture(work);
  EXPECT_TRUE(graph.captured());
  EXPECT_EQ(total.sum().item<float>(), 0) << "nothing runs while it is recorded";
  double sum = 0;
  for (const double value : {1.0, 4.0, -2.0}) {
    x_.fill_(value);
    graph.replay();
    sum += 3 * (2 * value + 1);
    EXPECT_TRUE(at::equal(total.cpu(), at::full({4}, sum)));
    EXPECT_TRUE(at::equal(product.cpu(), at::full({4, 4}, 3 * value * value)));
  }
}

TEST_F(DeviceGraphGpu, NamesWhatCannotBeRecorded) {
  double read = 0;
  DeviceGraph graph(test::device());
  EXPECT_THAT(error_of([&] { graph.capture([&] { read = x_.sum().item<double>(); }); }),
              testing::HasSubstr("a graph of the GPU's launches cannot be recorded"));
  EXPECT_FALSE(graph.captured());
  // The device goes on.
  x_.fill_(2);
  EXPECT_EQ(x_.sum().item<float>(), 24);
  EXPECT_THAT(error_of([&] { graph.replay(); }), testing::HasSubstr("there is no graph yet"));
}

TEST_F(DeviceGraphGpu, PassesOnWhatTheWorkThrows) {
  DeviceGraph graph(test::device());
  EXPECT_EQ(error_of([&] { graph.capture([] { fail(ErrorKind::input, "the work's own reason"); }); }),
            "the work's own reason");
  graph.capture([&] { x_.add_(1); });
  graph.replay();
  EXPECT_EQ(x_.sum().item<float>(), 12);
}

TEST(DeviceGraph, IsRefusedOnTheProcessor) {
  try {
    const DeviceGraph graph(at::kCPU);
    FAIL() << "a graph of a processor's launches";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("cpu is no GPU"));
  }
}

}  // namespace
}  // namespace omni::kernels
