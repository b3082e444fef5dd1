#include "prompt_sampler.h"

#include "bundle_sampler.h"
#include "cube3d_sampler.h"
#include "omni/core/content_hash.h"
#include "omni/core/error.h"
#include "omni/core/text_format.h"
#include "sample_model.h"

namespace omni::tools {

namespace fs = std::filesystem;

std::unique_ptr<PromptSampler> open_prompt_sampler(const SampleArguments& arguments) {
  if (names_cube3d(arguments)) return std::make_unique<Cube3dSampler>(arguments);
  return std::make_unique<BundleSampler>(arguments);
}

std::string content_of(const fs::path& file) { return hexadecimal(content_hash(file)); }

// Large weights are known by size and time alone: to read them would take longer than to start.
std::string identity_of(const fs::path& weights) {
  constexpr std::uintmax_t kLargest = std::uintmax_t{256} << 20;
  if (!fs::exists(weights)) return "";
  if (const std::uintmax_t size = fs::file_size(weights); size > kLargest)
    return concat(size, " bytes of ", fs::last_write_time(weights).time_since_epoch().count());
  return content_of(weights);
}

PromptSampler::Json shared_settings(const SampleArguments& arguments) {
  const kernels::SamplingSettings& sampling = arguments.sampling;
  PromptSampler::Json settings = {{"format", "omni samples"},
                                  {"model", fs::path(arguments.model).lexically_normal().string()},
                                  {"seed", arguments.seed},
                                  {"count", arguments.count},
                                  {"best_of", arguments.best_of},
                                  {"temperature", sampling.temperature},
                                  {"top_k", sampling.top_k},
                                  {"top_p", sampling.top_p},
                                  {"min_p", sampling.min_p},
                                  {"guidance", arguments.guidance},
                                  {"guidance_schedule", arguments.guidance_schedule},
                                  {"any", arguments.any},
                                  {"device", arguments.device},
                                  {"precision", precision_name(arguments)},
                                  {"file_format", arguments.format},
                                  {"resolution", arguments.mesh.resolution},
                                  {"faces", arguments.mesh.faces},
                                  {"smoothing", arguments.mesh.smooth_surface},
                                  {"level_feet", arguments.mesh.level_feet},
                                  {"floaters", arguments.mesh.keep_floaters},
                                  {"snap_to_box", arguments.mesh.snap_to_box}};
  if (!arguments.first_codes.empty()) settings["first_codes"] = content_of(arguments.first_codes);
  return settings;
}

PromptSampler::Json shared_effective_settings(const SampleArguments& arguments, PromptSampler::Json guidance,
                                              std::optional<int> resolution) {
  const kernels::SamplingSettings& sampling = arguments.sampling;
  PromptSampler::Json settings = {{"device", arguments.device},
                                  {"precision", precision_name(arguments)},
                                  {"temperature", sampling.temperature},
                                  {"top_k", sampling.top_k},
                                  {"top_p", sampling.top_p},
                                  {"min_p", sampling.min_p},
                                  {"guidance", std::move(guidance)},
                                  {"guidance_schedule", arguments.guidance_schedule},
                                  {"best_of", arguments.best_of}};
  if (resolution) {
    settings["resolution"] = *resolution;
    settings["faces"] = arguments.mesh.faces;
  }
  return settings;
}

}  // namespace omni::tools
