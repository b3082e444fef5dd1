#pragma once

#include <optional>

#include "omni/model/bundle.h"
#include "prompt_sampler.h"

namespace omni::tools {

// `omni sample --prompts` with a bundle, which is read at once.
class BundleSampler final : public PromptSampler {
 public:
  explicit BundleSampler(const SampleArguments& arguments);

  const sequence::Task& task() const override { return base_.task; }
  Json settings() const override;
  Json effective_settings() const override;
  std::int64_t rows_per_sample() const override;
  std::int64_t sequences_at_once() const override { return arguments_.batch; }
  void check(const std::string& prompt) const override;
  void sample(std::span<const SeededPrompt> prompts, const generation::SampleOptions& options,
              const generation::OnSample& on_sample) override;

 private:
  const SampleArguments& arguments_;
  generation::GenerationRequest base_;  // what all prompts share
  std::optional<tokenizers::WordList> words_;
  model::Bundle bundle_;
};

}  // namespace omni::tools
