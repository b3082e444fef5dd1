#include "omni/tokenizers/code_use.h"

#include <algorithm>
#include <vector>

#include "omni/core/perplexity.h"

namespace omni::tokenizers {
namespace {

constexpr double kCollapsedShare = 0.05;
constexpr std::int64_t kFewestSeen = 256;  // too few to tell

}  // namespace

void CodeUse::add(std::span<const std::int32_t> codes) {
  for (const std::int32_t code : codes) ++counts_[code];
}

void CodeUse::add(const at::Tensor& codes) {
  const at::Tensor flat = codes.cpu().contiguous();
  const std::int64_t* values = flat.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < flat.numel(); ++i) ++counts_[values[i]];
}

at::Tensor CodeUse::counts(std::int64_t vocabulary) const {
  at::Tensor all = at::zeros({vocabulary}, at::kLong);
  auto* values = all.mutable_data_ptr<std::int64_t>();
  for (const auto& [code, count] : counts_) values[code] = count;
  return all;
}

CodeUse CodeUse::of_counts(const at::Tensor& counts) {
  const at::Tensor own = counts.cpu().contiguous();
  const std::int64_t* values = own.const_data_ptr<std::int64_t>();
  CodeUse use;
  for (std::int64_t code = 0; code < own.numel(); ++code)
    if (values[code] > 0) use.counts_[code] = values[code];
  return use;
}

double CodeUse::perplexity() const {
  std::vector<double> counts;
  for (const auto& [code, count] : counts_) counts.push_back(static_cast<double>(count));
  return omni::perplexity(counts);
}

bool CodeUse::collapsed(std::int64_t vocabulary) const {
  std::int64_t seen = 0;
  for (const auto& [code, count] : counts_) seen += count;
  if (seen < kFewestSeen) return false;
  const auto possible = static_cast<double>(std::min(seen, vocabulary));
  return static_cast<double>(used()) < kCollapsedShare * possible;
}

}  // namespace omni::tokenizers
