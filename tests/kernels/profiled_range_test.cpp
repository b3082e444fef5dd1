#include "omni/kernels/profiled_range.h"

#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace omni::kernels {
namespace {

// What an observer of LibTorch's is told: "+name scope" as a range begins, "-name" as it ends.
std::vector<std::string>& told() {
  static thread_local std::vector<std::string> told;
  return told;
}

TEST(ProfiledRange, ObserversSeeItWhileItLives) {
  told().clear();
  { const ProfiledRange unseen("before"); }
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(
          [](const at::RecordFunction& function) -> std::unique_ptr<at::ObserverContext> {
            told().push_back("+" + std::string(function.name()) +
                             (function.scope() == at::RecordScope::FUNCTION ? " operation" : " phase"));
            return nullptr;
          },
          [](const at::RecordFunction& function, at::ObserverContext*) {
            told().push_back("-" + std::string(function.name()));
          })
          .scopes({at::RecordScope::FUNCTION, at::RecordScope::USER_SCOPE}));
  {
    const ProfiledRange outer("step", ProfiledRange::Kind::phase);
    const ProfiledRange inner("omni::norm");
  }
  at::removeCallback(handle);
  { const ProfiledRange unseen("after"); }
  EXPECT_EQ(told(),
            (std::vector<std::string>{"+step phase", "+omni::norm operation", "-omni::norm", "-step"}));
}

}  // namespace
}  // namespace omni::kernels
