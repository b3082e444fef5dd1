#include "code_use.h"

#include <algorithm>
#include <cmath>

namespace omni::training {
namespace {

constexpr double kCollapsedShare = 0.05;
constexpr std::int64_t kFewestSeen = 256;  // too few to tell

}  // namespace

void CodeUse::add(const at::Tensor& indices) {
  counts_ += at::bincount(indices.flatten(), {}, counts_.size(0));
}

double CodeUse::perplexity() const {
  const at::Tensor p = counts_.to(at::kDouble) / counts_.sum().clamp_min(1).to(at::kDouble);
  return std::exp(-(p * p.clamp_min(1e-30).log()).sum().item<double>());
}

double CodeUse::used() const { return counts_.gt(0).to(at::kDouble).mean().item<double>(); }

bool CodeUse::collapsed() const {
  const auto seen = counts_.sum().item<std::int64_t>();
  if (seen < kFewestSeen) return false;
  const auto possible = static_cast<double>(std::min(seen, counts_.size(0)));
  return counts_.gt(0).sum().item<double>() < kCollapsedShare * possible;
}

}  // namespace omni::training
