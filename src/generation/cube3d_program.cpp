#include "omni/generation/cube3d_program.h"

#include <algorithm>

#include "omni/core/error.h"
#include "omni/core/interrupt.h"

namespace omni::generation {
namespace {

// Conditions stand at position 0, <bos> too, codes at 1, 2, ...
sequence::TokenPlace place_of(sequence::Modality modality, std::size_t offset) {
  return {.modality = modality, .offset = static_cast<std::int32_t>(offset)};
}

}  // namespace

void validate(const Cube3dSampling& sampling, std::int64_t shape_codes) {
  kernels::validate(sampling.sampling);
  if (sampling.codes < 1) fail(ErrorKind::usage, "sampling ", sampling.codes, " codes: ask for one at least");
  if (static_cast<std::int64_t>(sampling.first_codes.size()) > sampling.codes)
    fail(ErrorKind::usage, "completing a shape: ", sampling.first_codes.size(),
         " codes are given that a shape of ", sampling.codes,
         " starts with (--first-codes). Give no more than it has");
  if (!(sampling.guidance >= 0 && sampling.guidance <= 100))
    fail(ErrorKind::usage, "setting guidance: the scale ", sampling.guidance,
         " is not between 0 and 100. 0 is none, 3 is the published one");
  for (const std::int32_t code : sampling.first_codes)
    if (code < 0 || code >= shape_codes)
      fail(ErrorKind::usage, "completing a shape: the first codes (--first-codes) name ", code,
           ", which is not one of the model's ", shape_codes, ". Give codes of its shape tokenizer");
}

Cube3dProgram::Cube3dProgram(const model::Cube3dGptConfig& config, const at::Tensor& condition,
                             const at::Tensor& unconditional, const Cube3dSampling& sampling,
                             std::uint64_t number)
    : shape_codes_(static_cast<std::int32_t>(config.shape_codes)),
      sampling_(&sampling),
      number_(number),
      codes_(sampling.first_codes) {
  validate(sampling, shape_codes_);
  if (sampling.guidance > 0) prompts_.push_back(unconditional);
  prompts_.push_back(condition);
  weigh();
}

void Cube3dProgram::weigh() {
  if (prompts_.size() == 1) return;
  weights_ = {scheduled_weight(sampling_->schedule, 1 + sampling_->guidance,
                               static_cast<std::int64_t>(codes_.size()), sampling_->codes)};
}

// The code before which so many codes stand, or <bos>.
model::DecodeToken Cube3dProgram::token_after(std::size_t codes) const {
  const std::int32_t token = codes == 0 ? sequence::kBos : sequence::kSpecialCount + codes_[codes - 1];
  return {.token = token, .place = place_of(sequence::Modality::shape, codes), .next_place = {}};
}

model::DecodePrompt Cube3dProgram::take_prompt(std::int64_t row) {
  model::DecodePrompt prompt;
  prompt.features = prompts_.at(static_cast<std::size_t>(row));
  prompt.feature_places.assign(static_cast<std::size_t>(prompt.features.size(0)),
                               place_of(sequence::Modality::text, 0));
  // The last code is never shown: nothing comes after it.
  const std::size_t shown = std::min(codes_.size(), static_cast<std::size_t>(sampling_->codes) - 1);
  for (std::size_t i = 0; i <= shown; ++i) prompt.tokens.push_back(token_after(i));
  return prompt;
}

TokenChoice Cube3dProgram::choice() const {
  sequence::AllowedTokens allowed;
  allowed.add(sequence::kSpecialCount, shape_codes_);
  return {.allowed = allowed,
          .guidance = weights_,
          .sampling = &sampling_->sampling,
          .key = {.seed = sampling_->seed, .sequence = number_, .step = codes_.size()}};
}

std::string Cube3dProgram::describe_place() const {
  return concat("shape ", number_, ": code ", codes_.size() + 1);
}

std::int64_t Cube3dProgram::settled_choices() const {
  return sampling_->codes - static_cast<std::int64_t>(codes_.size());
}

void Cube3dProgram::choose(std::int32_t token) {
  codes_.push_back(token - sequence::kSpecialCount);
  weigh();
}

std::vector<model::DecodeToken> Cube3dProgram::take_unseen(std::int64_t) {
  return {token_after(codes_.size())};
}

std::vector<std::vector<std::int32_t>> sample_cube3d(const model::Cube3dGpt& gpt, const at::Tensor& condition,
                                                     const at::Tensor& unconditional,
                                                     const Cube3dSampling& sampling,
                                                     const ProgramOptions& options) {
  const std::int64_t batch = condition.size(0);
  ensure(unconditional.size(0) == batch || unconditional.size(0) == 1,
         "one unconditional prompt, or one per shape");
  std::vector<std::unique_ptr<TokenProgram>> programs;
  for (std::int64_t b = 0; b < batch; ++b)
    programs.push_back(std::make_unique<Cube3dProgram>(gpt.config(), condition[b],
                                                       unconditional[unconditional.size(0) == 1 ? 0 : b],
                                                       sampling, static_cast<std::uint64_t>(b)));
  if (run_programs(gpt.transformer(), programs, options).interrupted) throw_if_interrupted();
  std::vector<std::vector<std::int32_t>> codes;
  for (const auto& program : programs) codes.push_back(static_cast<const Cube3dProgram&>(*program).codes());
  return codes;
}

}  // namespace omni::generation
