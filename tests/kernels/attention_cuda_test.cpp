#include "cuda/cuda_attention.h"

#include <gtest/gtest.h>

#include <ATen/Context.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "attention_truth.h"
#include "omni/core/error.h"
#include "omni/kernels/cuda_plugin.h"
#include "omni/kernels/packed_attention.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// Causal documents of `length` rows, the second one with a bidirectional start.
struct Call {
  CudaAttention attention;
  Tensor output_gradient;
};
Call make_call(at::Device device, at::ScalarType type, std::int64_t rows, std::int64_t head_size) {
  constexpr std::int64_t kHeads = 4, kKeyHeads = 2, kLength = 150;
  at::manual_seed(3);
  const auto random = [&](std::int64_t heads) {
    return at::randn({rows, heads, head_size}).to(type).to(device);
  };
  std::vector<std::int32_t> first, last;
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t document = i / kLength * kLength;
    first.push_back(static_cast<std::int32_t>(document));
    last.push_back(
        static_cast<std::int32_t>(std::min(rows, std::max(i + 1, document + (document ? 40 : 0)))));
  }
  Call call;
  call.attention.query = random(kHeads);
  call.attention.key = random(kKeyHeads);
  call.attention.value = random(kKeyHeads);
  call.attention.key_first = at::tensor(first, at::kInt).to(device);
  call.attention.key_last = at::tensor(last, at::kInt).to(device);
  call.attention.scale = 1 / std::sqrt(static_cast<double>(head_size));
  call.output_gradient = random(kHeads);
  return call;
}

std::string refusal(const Call& call) {
  const CudaAttention& a = call.attention;
  return cuda_attention_refusal(a.query, a.key, a.value, a.kernels);
}

TEST(AttentionCuda, TellsWhyThereIsNoKernel) {
  const Call call = make_call(at::kCPU, at::kBFloat16, 10, 64);
  EXPECT_EQ(refusal(call), "the tensors are not on a CUDA device");
  EXPECT_EQ(cuda_attention_refusal(call.attention.query, call.attention.key, call.attention.value,
                                   CudaAttentionKernels::hopper),
            "the tensors are not on a CUDA device");
}

TEST(AttentionCuda, ShapesThatDoNotFitAreRefused) {
  Call call = make_call(at::kCPU, at::kBFloat16, 10, 64);
  call.attention.key_first = call.attention.key_first.narrow(0, 0, 9);
  EXPECT_THROW(cuda_attention_forward(call.attention), Error);
  call = make_call(at::kCPU, at::kBFloat16, 10, 64);
  call.attention.value = call.attention.value.narrow(2, 0, 32);
  EXPECT_THROW(refusal(call), Error);
}

// In double precision on the CPU, with a dense mask.
std::vector<Tensor> reference(const Call& call) {
  const auto heads = [&](const Tensor& x, std::int64_t repeat) {
    return x.to(at::kCPU, at::kDouble).repeat_interleave(repeat, 1).transpose(0, 1).detach();
  };
  const CudaAttention& a = call.attention;
  const std::int64_t group = a.query.size(1) / a.key.size(1);
  Tensor query = heads(a.query, 1).requires_grad_(), key = a.key.to(at::kCPU, at::kDouble).requires_grad_();
  Tensor value = a.value.to(at::kCPU, at::kDouble).requires_grad_();
  const Tensor keys = key.repeat_interleave(group, 1).transpose(0, 1);
  const Tensor values = value.repeat_interleave(group, 1).transpose(0, 1);
  const Tensor columns = at::arange(a.key.size(0)).unsqueeze(0);
  const Tensor seen = (columns >= a.key_first.cpu().unsqueeze(1)) & (columns < a.key_last.cpu().unsqueeze(1));
  const Tensor scores = at::matmul(query, keys.transpose(1, 2)) * a.scale;
  const Tensor hidden = scores.masked_fill(seen.logical_not(), -std::numeric_limits<double>::infinity());
  const Tensor output = at::matmul(hidden.softmax(-1), values);
  (output * heads(call.output_gradient, 1)).sum().backward();
  return {output.transpose(0, 1).detach(), query.grad().transpose(0, 1), key.grad(), value.grad()};
}

double relative_error(const Tensor& computed, const Tensor& expected) {
  return (computed.to(at::kCPU, at::kDouble) - expected).norm().item<double>() /
         expected.norm().item<double>();
}

// Why these kernels cannot be tested here; empty where they can.
std::string test_refusal(CudaAttentionKernels kernels) {
  if (!gpu_refusal().empty() || kernels == CudaAttentionKernels::general) return gpu_refusal();
  const GpuDescription gpu = describe_gpu(0);
  return gpu.major == 9 ? "" : "the kernels for Hopper need a GPU of sm_90, not " + gpu.text();
}

class AttentionGpu : public testing::TestWithParam<CudaAttentionKernels> {
 protected:
  void SetUp() override {
    if (!test_refusal(GetParam()).empty()) GTEST_SKIP() << test_refusal(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, AttentionGpu,
                         testing::Values(CudaAttentionKernels::general, CudaAttentionKernels::hopper),
                         [](const auto& info) {
                           return info.param == CudaAttentionKernels::hopper ? "Hopper" : "General";
                         });

TEST_P(AttentionGpu, MatchesDoublePrecision) {
  for (const std::int64_t head_size : {64, 80, 128})
    for (const std::int64_t rows : {1, 333, 1000}) {
      Call call = make_call(at::kCUDA, at::kBFloat16, rows, head_size);
      call.attention.kernels = GetParam();
      ASSERT_EQ(refusal(call), "");
      const std::vector<Tensor> expected = reference(call);
      const CudaAttentionResult result = cuda_attention_forward(call.attention);
      EXPECT_LT(relative_error(result.output, expected[0]), 0.01);
      for (const bool deterministic : {true, false}) {
        const CudaAttentionGradients gradients =
            cuda_attention_backward(call.attention, result, call.output_gradient, deterministic);
        // One row's weights are all 1: its query and key have no gradient.
        if (rows > 1) EXPECT_LT(relative_error(gradients.query, expected[1]), 0.02);
        if (rows > 1) EXPECT_LT(relative_error(gradients.key, expected[2]), 0.02);
        EXPECT_LT(relative_error(gradients.value, expected[3]), 0.02);
      }
    }
}

// Through autograd and the dispatcher, as training does it.
TEST_P(AttentionGpu, PackedAttentionTakesTheKernel) {
  const AttentionPath path =
      GetParam() == CudaAttentionKernels::hopper ? AttentionPath::hopper : AttentionPath::kernel;
  at::manual_seed(5);
  const std::vector<std::int64_t> starts = {0, 1, 90, 90, 301};
  const auto spans = AttentionSpans::causal_with_segments(starts, std::vector<RowRange>{{100, 180}});
  const auto random = [](std::int64_t heads) { return at::randn({301, heads, 64}).to(at::kBFloat16); };
  const Tensor gradient = random(4);
  std::vector<Tensor> exact, own;
  for (const std::int64_t heads : {4, 2, 2}) {
    const Tensor x = random(heads);
    exact.push_back(x.to(at::kDouble).requires_grad_());
    own.push_back(x.to(at::kCUDA).requires_grad_());
  }
  const Tensor expected = true_attention(exact[0], exact[1], exact[2], spans);
  expected.backward(gradient.to(at::kDouble));
  const Tensor output =
      packed_attention(own[0], own[1], own[2], spans.with_bounds(spans.bounds(at::kCUDA)), path);
  output.backward(gradient.to(at::kCUDA));
  EXPECT_LT(relative_error(output.detach(), expected.detach()), 0.01);
  for (int i = 0; i < 3; ++i) EXPECT_LT(relative_error(own[i].grad(), exact[i].grad()), 0.02) << i;
}

// Windows that move on, some of which see nothing: all that spans can say.
TEST_P(AttentionGpu, WindowsMatchDoublePrecision) {
  std::mt19937 random(21);
  for (const std::int64_t head_size : {64, 128}) {
    constexpr std::int64_t kRows = 400;
    Call call = make_call(at::kCUDA, at::kBFloat16, kRows, head_size);
    CudaAttention& a = call.attention;
    a.kernels = GetParam();
    const AttentionSpans spans = random_windows(kRows, random);
    const Tensor bounds = spans.bounds(at::kCUDA);
    a.key_first = bounds[0], a.key_last = bounds[1];
    std::vector<Tensor> exact;
    for (const Tensor* x : {&a.query, &a.key, &a.value})
      exact.push_back(x->to(at::kCPU, at::kDouble).requires_grad_());
    const Tensor expected = true_attention(exact[0], exact[1], exact[2], spans);
    expected.backward(call.output_gradient.to(at::kCPU, at::kDouble));
    const CudaAttentionResult result = cuda_attention_forward(a);
    EXPECT_LT(relative_error(result.output, expected.detach()), 0.01);
    const CudaAttentionGradients gradients = cuda_attention_backward(a, result, call.output_gradient, true);
    EXPECT_LT(relative_error(gradients.query, exact[0].grad()), 0.02);
    EXPECT_LT(relative_error(gradients.key, exact[1].grad()), 0.02);
    EXPECT_LT(relative_error(gradients.value, exact[2].grad()), 0.02);
  }
}

TEST_P(AttentionGpu, EveryDeterministicRunGivesTheSameBits) {
  Call call = make_call(at::kCUDA, at::kBFloat16, 777, 64);
  call.attention.kernels = GetParam();
  const CudaAttentionResult first = cuda_attention_forward(call.attention);
  const CudaAttentionGradients gradients =
      cuda_attention_backward(call.attention, first, call.output_gradient, true);
  for (int run = 0; run < 3; ++run) {
    const CudaAttentionResult again = cuda_attention_forward(call.attention);
    EXPECT_TRUE(again.output.equal(first.output));
    EXPECT_TRUE(again.log_sum.equal(first.log_sum));
    const CudaAttentionGradients own =
        cuda_attention_backward(call.attention, again, call.output_gradient, true);
    EXPECT_TRUE(own.query.equal(gradients.query));
    EXPECT_TRUE(own.key.equal(gradients.key));
    EXPECT_TRUE(own.value.equal(gradients.value));
  }
}

// cuDNN by runs of documents of one length, where LibTorch has it; elsewhere it is refused, as other spans are.
TEST(CudnnAttentionGpu, MatchesDoublePrecisionOrIsRefused) {
  if (!gpu_refusal().empty()) GTEST_SKIP() << gpu_refusal();
  at::manual_seed(9);
  std::vector<Tensor> exact, own;
  for (const std::int64_t heads : {4, 2, 2}) {
    const Tensor x = at::randn({300, heads, 64}).to(at::kBFloat16);
    exact.push_back(x.to(at::kDouble).requires_grad_());
    own.push_back(x.to(at::kCUDA).requires_grad_());
  }
  const auto attend = [&](const AttentionSpans& spans) {
    return packed_attention(own[0], own[1], own[2], spans, AttentionPath::cudnn);
  };
  const auto segments = AttentionSpans::causal_with_segments(std::vector<std::int64_t>{0, 300},
                                                             std::vector<RowRange>{{100, 180}});
  EXPECT_THROW(attend(segments), Error);
  const auto documents = AttentionSpans::causal(std::vector<std::int64_t>{0, 80, 160, 161, 300});
  if (!at::Context::hasCuDNN()) {
    EXPECT_THROW(attend(documents), Error);
    return;
  }
  const Tensor gradient = at::randn({300, 4, 64}).to(at::kBFloat16);
  const Tensor expected = true_attention(exact[0], exact[1], exact[2], documents);
  expected.backward(gradient.to(at::kDouble));
  const Tensor output = attend(documents);
  output.backward(gradient.to(at::kCUDA));
  EXPECT_LT(relative_error(output.detach(), expected.detach()), 0.01);
  for (int i = 0; i < 3; ++i) EXPECT_LT(relative_error(own[i].grad(), exact[i].grad()), 0.02) << i;
}

}  // namespace
}  // namespace omni::kernels
