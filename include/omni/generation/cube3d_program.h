#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "omni/generation/guidance_schedule.h"
#include "omni/generation/token_program.h"
#include "omni/kernels/tensor.h"
#include "omni/model/cube3d_gpt.h"

namespace omni::generation {

// How shapes are drawn from a Cube3D GPT: always this many codes, without an end token.
struct Cube3dSampling {
  std::int64_t codes = 1024;
  // In the publication's scale, which falls linearly to 0 over the codes unless `schedule` says otherwise: scores are
  // (1 + g) conditional - g unconditional logits. See GuidanceSchedule::linear.
  double guidance = 3.0;
  GuidanceSchedule schedule = GuidanceSchedule::linear;
  kernels::SamplingSettings sampling = {.temperature = 0};
  std::uint64_t seed = 0;
  std::vector<std::int32_t> first_codes;  // that a shape starts with, given
};

// Sequences that a shape takes: with guidance, one more without the condition.
inline std::int64_t rows_per_draw(const Cube3dSampling& sampling) { return sampling.guidance > 0 ? 2 : 1; }
// Throws Error(usage) for settings and first codes out of range.
void validate(const Cube3dSampling& sampling, std::int64_t shape_codes);

// One shape.
class Cube3dProgram final : public TokenProgram {
 public:
  // Prompts as Cube3dGpt::condition() makes them, [S + 1, width]. `sampling` must outlive the program. Throws as
  // validate().
  Cube3dProgram(const model::Cube3dGptConfig& config, const at::Tensor& condition,
                const at::Tensor& unconditional, const Cube3dSampling& sampling, std::uint64_t number);

  std::int64_t row_count() const override { return static_cast<std::int64_t>(prompts_.size()); }
  // By the longer of both prompts.
  std::int64_t capacity() const override {
    return std::max(prompts_.front().size(0), prompts_.back().size(0)) + sampling_->codes;
  }
  model::DecodePrompt take_prompt(std::int64_t row) override;
  bool finished() const override { return settled_choices() == 0; }
  TokenChoice choice() const override;
  std::string describe_place() const override;
  std::int64_t settled_choices() const override;
  void choose(std::int32_t token) override;
  std::vector<model::DecodeToken> take_unseen(std::int64_t row) override;
  std::unique_ptr<TokenProgram> copy() const override { return std::make_unique<Cube3dProgram>(*this); }

  const std::vector<std::int32_t>& codes() const { return codes_; }

 private:
  model::DecodeToken token_after(std::size_t codes) const;
  void weigh();

  std::int32_t shape_codes_;
  const Cube3dSampling* sampling_;
  std::uint64_t number_;
  std::vector<at::Tensor> prompts_;  // by row
  std::vector<std::int32_t> codes_;
  std::vector<double> weights_;  // of the choice that comes next
};

// One shape per row of `condition` [B, S + 1, width], numbered from 0 and decoded side by side; unconditional
// [1 or B, S + 1, width]. -> their codes.
std::vector<std::vector<std::int32_t>> sample_cube3d(const model::Cube3dGpt& gpt, const at::Tensor& condition,
                                                     const at::Tensor& unconditional,
                                                     const Cube3dSampling& sampling,
                                                     const ProgramOptions& options = {});

}  // namespace omni::generation
