#include "omni/nn/precision.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni::nn {
namespace {

TEST(Precision, NamesAreTypesAndOthersAreRefused) {
  EXPECT_EQ(precision_type("fp32"), at::kFloat);
  EXPECT_EQ(precision_type("bf16"), at::kBFloat16);
  for (const char* other : {"", "fp16", "bf16 ", "FP32"}) {
    try {
      precision_type(other);
      ADD_FAILURE() << other;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
  }
}

}  // namespace
}  // namespace omni::nn
