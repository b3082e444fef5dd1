#include "omni/nn/low_rank.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>

#include "omni/core/error.h"
#include "omni/kernels/cast_linear.h"

namespace omni::nn {
namespace {

constexpr const char *kA = "lora_a", *kB = "lora_b";

}  // namespace

void describe(ConfigVisitor& visitor, LowRankConfig& c) {
  visitor.integer("rank", c.rank, {.minimum = 0, .maximum = 1024});
  visitor.number("alpha", c.alpha, {.minimum = 1e-3, .maximum = 1e5});
  visitor.texts("layers", c.layers);
}

std::string to_text(const LowRankConfig& config) {
  std::string text = concat("rank ", config.rank, ", alpha ", config.alpha, ", layers");
  for (const std::string& pattern : config.layers) text += " " + pattern;
  return text;
}

LowRankAdapter::LowRankAdapter(const ParameterScope& scope, const at::Tensor& weight,
                               std::vector<std::int64_t> stacked_rows, const LowRankConfig& config)
    : a_(scope.add(kA, {config.rank, weight.size(1)},
                   Init::normal(1 / std::sqrt(static_cast<double>(weight.size(1)))))),
      b_(scope.add(kB, {weight.size(0), config.rank}, Init::zeros(),
                   {.stacked_rows = std::move(stacked_rows)})),
      scale_(config.alpha / static_cast<double>(config.rank)) {}

at::Tensor LowRankAdapter::operator()(const at::Tensor& x,
                                      const std::optional<kernels::DecodeFormat>& decoding) const {
  if (decoding && x.device().is_cpu())
    return kernels::decode_linear(kernels::decode_linear(x, a_.for_decoding(*decoding), {}) * scale_,
                                  b_.for_decoding(*decoding), {});
  const at::Tensor inner = kernels::cast_linear(x, a_.weight(), a_.as(x.scalar_type()), {});
  return kernels::cast_linear(inner * scale_, b_.weight(), b_.as(x.scalar_type()), {});
}

at::Tensor LowRankAdapter::merged_into(const at::Tensor& weight) const {
  const c10::NoGradGuard no_grad;
  return at::addmm(weight.to(at::kFloat), b_.weight().to(at::kFloat), a_.weight().to(at::kFloat), 1, scale_);
}

bool LowRankAdapter::owns(const Parameter& parameter) {
  return parameter.name.ends_with(concat(".", kA)) || parameter.name.ends_with(concat(".", kB));
}

}  // namespace omni::nn
