#include "code_use.h"

#include <algorithm>

#include "omni/core/perplexity.h"

namespace omni::training {
namespace {

constexpr double kCollapsedShare = 0.05;
constexpr std::int64_t kFewestSeen = 256;  // too few to tell

}  // namespace

void CodeUse::add(const at::Tensor& indices) {
  counts_ += at::bincount(indices.flatten(), {}, counts_.size(0));
}

double CodeUse::perplexity() const {
  const at::Tensor counts = counts_.to(at::kDouble);
  return omni::perplexity({counts.const_data_ptr<double>(), static_cast<std::size_t>(counts.numel())});
}

double CodeUse::used() const { return counts_.gt(0).to(at::kDouble).mean().item<double>(); }

bool CodeUse::collapsed() const {
  const auto seen = counts_.sum().item<std::int64_t>();
  if (seen < kFewestSeen) return false;
  const auto possible = static_cast<double>(std::min(seen, counts_.size(0)));
  return counts_.gt(0).sum().item<double>() < kCollapsedShare * possible;
}

}  // namespace omni::training
