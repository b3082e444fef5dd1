#include <gtest/gtest.h>

#include <cmath>

#include "omni/core/error.h"
#include "omni/kernels/cuda_decode_attention.h"
#include "omni/kernels/cuda_plugin.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {
namespace {

using at::Tensor;

class DecodeAttentionGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!gpu_refusal().empty()) GTEST_SKIP() << gpu_refusal();
  }
};

struct Case {
  std::string name;
  at::ScalarType cache;
  std::int64_t head_size, heads, key_value_heads;
  std::vector<CudaDecodePlace> places;
  double tolerance;  // of outputs of size 1
};

std::vector<Case> cases() {
  std::vector<CudaDecodePlace> ragged, shared;
  const std::vector<std::int32_t> lengths = {1, 63, 64, 65, 300, 1025, 4000, 2};
  for (std::int32_t r = 0; r < 8; ++r) ragged.push_back({r, lengths[r] - 1, r, 1, 0, r});
  for (std::int32_t r = 0; r < 8; ++r) shared.push_back({r, 2500 + 17 * r, r / 4 * 4, 4, 2304, r / 4 * 4});
  return {{"ragged", at::kBFloat16, 64, 4, 4, ragged, 2e-2},
          {"wide", at::kBFloat16, 128, 32, 8, ragged, 2e-2},
          {"shared", at::kBFloat16, 128, 8, 2, shared, 2e-2},
          {"int8", at::kChar, 64, 8, 2, ragged, 3e-2},
          {"int8 shared", at::kChar, 128, 8, 2, shared, 3e-2}};
}

// A softmax in double precision over the cache as it is stored.
Tensor truth(const Case& c, const Tensor& query, const Tensor& keys, const Tensor& values) {
  std::vector<Tensor> outputs;
  for (std::size_t r = 0; r < c.places.size(); ++r) {
    const CudaDecodePlace& p = c.places[r];
    const std::int64_t count = p.position + 1;
    const auto past = [&](const Tensor& all) {
      const Tensor parts = at::concat(
          {all[p.holder].narrow(1, 0, p.shared), all[p.sequence].narrow(1, p.shared, count - p.shared)}, 1);
      return parts.repeat_interleave(c.heads / c.key_value_heads, 0);
    };
    const Tensor scores = at::matmul(past(keys), query[static_cast<std::int64_t>(r)].unsqueeze(2)) /
                          std::sqrt(static_cast<double>(c.head_size));
    outputs.push_back((scores.softmax(1) * past(values)).sum(1));
  }
  return at::stack(outputs);
}

TEST_F(DecodeAttentionGpu, MatchesADoublePrecisionSoftmax) {
  at::manual_seed(3);
  const at::Device device(at::kCUDA, 0);
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const std::int64_t rows = static_cast<std::int64_t>(c.places.size()), room = 4100;
    const std::vector<std::int64_t> sizes = {rows, c.key_value_heads, room, c.head_size};
    CudaDecodeAttention call;
    call.query = at::randn({rows, c.heads, c.head_size}).to(at::kBFloat16);
    Tensor exact[2];
    for (int i = 0; i < 2; ++i) {
      Tensor& stored = i == 0 ? call.keys : call.values;
      Tensor& scales = i == 0 ? call.key_scales : call.value_scales;
      if (c.cache == at::kChar) {
        stored = at::randint(-127, 128, sizes).to(at::kChar);
        scales = at::rand({rows, c.key_value_heads, room}) / 64 + 0.01;
        exact[i] = stored.to(at::kDouble) * scales.to(at::kDouble).unsqueeze(3);
        scales = scales.to(device);
      } else {
        stored = at::randn(sizes).to(c.cache);
        exact[i] = stored.to(at::kDouble);
      }
      stored = stored.to(device);
    }
    const Tensor expected = truth(c, call.query.to(at::kDouble), exact[0], exact[1]);
    call.query = call.query.to(device);
    call.rows = cuda_decode_rows(c.places, c.heads / c.key_value_heads, call.keys_per_split, device);
    call.maximum_splits = room / call.keys_per_split + 1;
    const Tensor workspace = cuda_decode_workspace(call);
    const Tensor first = cuda_decode_attention(call, workspace),
                 again = cuda_decode_attention(call, workspace);
    EXPECT_TRUE(at::equal(first, again));
    const double size = std::max(1.0, expected.abs().max().item<double>());
    EXPECT_LT((first.cpu().to(at::kDouble) - expected).abs().max().item<double>(), c.tolerance * size);
  }
}

// Tokens written one after the other, at once for all rows, then read.
TEST_F(DecodeAttentionGpu, ReadsWhatWasWritten) {
  at::manual_seed(4);
  const at::Device device(at::kCUDA, 0);
  const std::int64_t rows = 3, heads = 8, kept_heads = 2, width = 64, count = 70;
  for (const at::ScalarType type : {at::kBFloat16, at::kChar, at::kByte}) {
    CudaDecodeAttention call;
    call.keys = at::zeros({rows, kept_heads, 128, width}, at::TensorOptions(type).device(device));
    call.values = at::zeros_like(call.keys);
    if (type != at::kBFloat16) {
      call.key_scales = at::zeros({rows, kept_heads, 128}, at::TensorOptions(at::kFloat).device(device));
      call.value_scales = at::zeros_like(call.key_scales);
    }
    call.query = at::randn({rows, heads, width}).to(at::kBFloat16).to(device);
    const Tensor keys = at::randn({count, rows, kept_heads, width}).to(at::kBFloat16),
                 values = at::randn({count, rows, kept_heads, width}).to(at::kBFloat16);
    std::vector<CudaDecodePlace> places;
    for (std::int32_t r = 0; r < rows; ++r) places.push_back({r, 0, r, 1, 0, r});
    for (std::int64_t p = 0; p < count; ++p) {
      for (CudaDecodePlace& place : places) place.position = static_cast<std::int32_t>(p);
      call.rows = cuda_decode_rows(places, heads / kept_heads, call.keys_per_split, device);
      cuda_cache_write(keys[p].to(device), values[p].to(device), call);
    }
    const Tensor output = cuda_decode_attention(call, cuda_decode_workspace(call)).cpu().to(at::kDouble);
    const auto past = [&](const Tensor& all) {
      return all.to(at::kDouble).permute({1, 2, 0, 3}).repeat_interleave(heads / kept_heads, 1);
    };
    const Tensor scores = at::matmul(past(keys), call.query.cpu().to(at::kDouble).unsqueeze(3)) / 8;
    const Tensor expected = (scores.softmax(2) * past(values)).sum(2);
    EXPECT_LT((output - expected).abs().max().item<double>(), type == at::kByte ? 0.1 : 0.04)
        << c10::toString(type);
  }
}

// Also where there is no GPU.
TEST(CudaDecodeRows, RefusesImpossiblePlaces) {
  const auto refused = [](std::vector<CudaDecodePlace> places) {
    try {
      cuda_decode_rows(places, 4, 64, at::kCPU);
    } catch (const Error&) {
      return true;
    }
    return false;
  };
  EXPECT_FALSE(refused({{0, 99, 0, 2, 64, 0}, {1, 70, 0, 2, 64, 0}}));
  EXPECT_TRUE(refused({{0, -1, 0, 1, 0, 0}}));
  EXPECT_TRUE(refused({{0, 99, 0, 2, 64, 0}}));                       // a group beyond the rows
  EXPECT_TRUE(refused({{0, 99, 0, 2, 64, 0}, {1, 70, 0, 2, 0, 0}}));  // that share different things
  EXPECT_TRUE(refused({{0, 99, 0, 1, 65, 0}}));                       // not a whole number of splits
  EXPECT_TRUE(refused({{0, 50, 0, 1, 64, 0}}));                       // more than is seen
  EXPECT_TRUE(refused(std::vector<CudaDecodePlace>(17, {0, 0, 0, 17, 0, 0})));  // 68 queries
}

}  // namespace
}  // namespace omni::kernels
