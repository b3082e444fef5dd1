#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>

#include "omni/generation/make_samples.h"
#include "sample_arguments.h"

namespace omni::tools {

struct SeededPrompt {
  std::string text;
  std::uint64_t seed = 0, first_sample = 0;
  std::int64_t count = 1;  // samples, numbered from first_sample
};

// A model that `omni sample` draws from, prompt by prompt; all else that is asked for stands in the arguments.
class PromptSampler {
 public:
  using Json = nlohmann::ordered_json;
  virtual ~PromptSampler() = default;

  virtual const sequence::Task& task() const = 0;
  // Everything that a sample depends on but its prompt and seed.
  virtual Json settings() const = 0;
  // How samples are drawn and meshed, with what was left to the model and the program in numbers: for results.
  virtual Json effective_settings() const = 0;
  // Sequences that one sample of a prompt takes side by side, and how many of them may be decoded at once.
  virtual std::int64_t rows_per_sample() const = 0;
  virtual std::int64_t sequences_at_once() const = 0;
  // Before sample(). Throws Error(usage) for a prompt that cannot be used.
  virtual void check(const std::string& prompt) const = 0;
  // As generation::make_samples() of a request per prompt.
  virtual void sample(std::span<const SeededPrompt> prompts, const generation::SampleOptions& options,
                      const generation::OnSample& on_sample) = 0;
};

// With what is wrong for every prompt refused: throws Error(usage), and as model::load_bundle() and find_cube3d().
std::unique_ptr<PromptSampler> open_prompt_sampler(const SampleArguments& arguments);

// What tells a state of a file of weights from others, for settings(); empty without the file.
std::string identity_of(const std::filesystem::path& weights);
std::string content_of(const std::filesystem::path& file);

// The parts of settings() and effective_settings() that all models share; `resolution` of meshes, absent where none are made.
PromptSampler::Json shared_settings(const SampleArguments& arguments);
PromptSampler::Json shared_effective_settings(const SampleArguments& arguments, PromptSampler::Json guidance,
                                              std::optional<int> resolution);

}  // namespace omni::tools
