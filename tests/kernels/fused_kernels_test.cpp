#include "omni/kernels/fused_kernels.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni::kernels {
namespace {

TEST(FusedKernels, NamesChooseThem) {
  const FusedKernels none, some({"norm", "adamw"}), all({"all"});
  for (const FusedKernel kernel : {FusedKernel::norm, FusedKernel::rotation, FusedKernel::swiglu,
                                   FusedKernel::cross_entropy, FusedKernel::adamw, FusedKernel::embedding}) {
    const bool chosen = kernel == FusedKernel::norm || kernel == FusedKernel::adamw;
    EXPECT_EQ(none.path(kernel), KernelPath::library);
    EXPECT_EQ(some.path(kernel), chosen ? KernelPath::fused : KernelPath::library);
    EXPECT_EQ(all.path(kernel), KernelPath::fused);
  }
}

TEST(FusedKernels, EachNameIsOneOfThem) {
  ASSERT_EQ(FusedKernels::names().size(), 7u);
  for (std::size_t i = 1; i < 7; ++i) {
    const FusedKernels own({FusedKernels::names()[i]});
    for (std::size_t j = 1; j < 7; ++j)
      EXPECT_EQ(own.path(static_cast<FusedKernel>(j - 1)) == KernelPath::fused, i == j) << i << ", " << j;
  }
}

TEST(FusedKernels, OtherNamesAreRefusedByName) {
  try {
    const FusedKernels kernels({"norm", "softmax"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("softmax"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("cross_entropy"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace omni::kernels
