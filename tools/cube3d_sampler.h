#pragma once

#include <memory>
#include <optional>

#include "omni/generation/text_to_shape.h"
#include "prompt_sampler.h"

namespace omni::tools {

// `omni sample` with a public Cube3D.

// Whether the arguments name one: by its version, or a folder that was imported. Throws Error(usage) for a folder of
// another public model, Error(input) for a damaged one.
bool names_cube3d(const SampleArguments& arguments);
// Of those: whether it is such a folder, in which all of its files lie.
bool names_imported_cube3d(const SampleArguments& arguments);

class Cube3dSampler final : public PromptSampler {
 public:
  // Looks for the files and checks what is asked for and the memory for it; weights are read when samples are drawn, the
  // text tower's first. With a single prompt it goes before the rest comes; with a file of them it stays.
  explicit Cube3dSampler(const SampleArguments& arguments);

  const sequence::Task& task() const override { return task_; }
  Json settings() const override;
  Json effective_settings() const override;
  std::int64_t rows_per_sample() const override;
  std::int64_t sequences_at_once() const override { return sequences_; }
  void check(const std::string& prompt) const override;
  void sample(std::span<const SeededPrompt> prompts, const generation::SampleOptions& options,
              const generation::OnSample& on_sample) override;

 private:
  const SampleArguments& arguments_;
  sequence::Task task_;
  model::Cube3dFiles files_;
  generation::TextToShapeRequest request_;  // but for the seed
  std::int64_t sequences_ = 0;
  std::unique_ptr<model::TextTower> text_;   // while it is needed
  std::optional<model::Cube3dModel> model_;  // once it is needed
};

}  // namespace omni::tools
