#include "memory_guard.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>

namespace omni::training {
namespace {

using ::testing::HasSubstr;

Error refused(const std::function<void()>& work) {
  try {
    within_memory(
        "out/run",
        [] {
          return MemoryAdvice{"the passes of step 3", "Lower a_key (8)"};
        },
        work);
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::internal, "nothing was thrown"};
}

TEST(MemoryGuard, NamesThePartAndTheSettingToChange) {
  const Error host = refused([] { throw std::bad_alloc(); });
  EXPECT_EQ(host.kind(), ErrorKind::out_of_memory);
  EXPECT_STREQ(host.what(), "training 'out/run': out of memory in the passes of step 3. Lower a_key (8)");
  // As LibTorch tells of a GPU's memory, with a trace on the lines after the first, and of the host's.
  const Error gpu = refused([] {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate 2.00 GiB.\nmore lines");
  });
  EXPECT_EQ(gpu.kind(), ErrorKind::out_of_memory);
  EXPECT_THAT(gpu.what(), HasSubstr("step 3: CUDA out of memory. Tried to allocate 2.00 GiB"));
  EXPECT_THAT(gpu.what(), HasSubstr("Lower a_key (8)"));
  EXPECT_THAT(gpu.what(), ::testing::Not(HasSubstr("more lines")));
  EXPECT_EQ(
      refused([] { TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: you tried"); }).kind(),
      ErrorKind::out_of_memory);
}

TEST(MemoryGuard, LeavesOtherErrorsAsTheyAre) {
  EXPECT_EQ(refused([] { fail(ErrorKind::io, "a full disk"); }).kind(), ErrorKind::io);
  EXPECT_THROW((void)refused([] { throw std::logic_error("another"); }), std::logic_error);
  EXPECT_EQ(within_memory(
                "x", [] { return MemoryAdvice{}; }, [] { return 7; }),
            7);
}

}  // namespace
}  // namespace omni::training
