#include "sample_model.h"

#include <map>
#include <memory>

#include "omni/core/log.h"
#include "omni/core/progress.h"
#include "omni/kernels/cuda_plugin.h"
#include "sample_memory.h"

namespace omni::tools {

std::string precision_name(const SampleArguments& arguments) {
  if (arguments.precision != "auto") return arguments.precision;
  return arguments.device == "cuda" ? "bf16" : "fp32";
}

namespace {

void warn_of_untrained(const std::string& folder) {
  const std::map<std::string, std::string> notes = model::load_bundle_notes(folder);
  if (const auto stage = notes.find("stage"); stage != notes.end() && stage->second == "init")
    log_warning(folder,
                " comes from omni init and was never trained: what it makes means nothing. Train it by omni "
                "pretrain");
}

}  // namespace

model::Bundle load_model(const SampleArguments& arguments, const generation::GenerationRequest& request) {
  warn_of_untrained(arguments.model);
  if (arguments.device != "cuda") {
    require_memory(arguments, request, precision_name(arguments));
    return model::load_bundle_for_decoding(arguments.model,
                                           model::parse_decode_precision(precision_name(arguments)).weights);
  }
  kernels::require_capable_gpu("sampling", 0);
  model::Bundle bundle = model::load_bundle(arguments.model);
  const at::ScalarType type = arguments.precision == "fp32" ? at::kFloat : at::kBFloat16;
  bundle.transformer->to(at::kCUDA, type);
  bundle.transformer->set_activation_type(type);
  return bundle;
}

generation::SampleOptions sample_options(const SampleArguments& arguments, bool with_meshes) {
  generation::SampleOptions options;
  options.sequences_per_batch = arguments.batch;
  options.precision = model::parse_decode_precision(precision_name(arguments));
  if (with_meshes) {
    options.mesh = arguments.mesh;
    options.mesh->with_colour = !arguments.no_colour;
  }
  if (arguments.count > 1 || !arguments.prompts_file.empty())
    options.after_interrupt = generation::AfterInterrupt::finish_drawn;
  options.on_progress = [progress = std::shared_ptr<Progress>(), shown = std::int64_t{0}](
                            std::int64_t sampled, std::int64_t bound) mutable {
    if (!progress) progress = std::make_shared<Progress>("sampling", bound, "tokens");
    progress->advance(sampled - shown);
    shown = sampled;
    if (sampled == bound) progress.reset();  // ends the line, before the last samples are told of
  };
  return options;
}

}  // namespace omni::tools
