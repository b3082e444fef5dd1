#include "bundle_sampler.h"

#include "omni/checkpoint/manifest.h"
#include "omni/core/error.h"
#include "omni/core/text_format.h"
#include "omni/core/utf8.h"
#include "sample_model.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;

sequence::Task task_of_prompts(const SampleArguments& arguments) {
  SampleArguments first = arguments;
  first.prompts = {"a"};
  first.out = concat("x.", arguments.format.empty() ? "glb" : arguments.format);
  first.format.clear();
  return task_of(first);
}

std::string identity_of_bundle(const fs::path& folder) {
  const fs::path weights = folder / "model.safetensors", manifest = folder / checkpoint::kManifestName;
  return identity_of(fs::exists(weights) ? weights : manifest);
}

std::vector<std::string> contents_of(const std::vector<std::string>& files) {
  std::vector<std::string> hashes;
  for (const std::string& file : files) hashes.push_back(content_of(file));
  return hashes;
}

std::int64_t rows_of(const generation::GenerationRequest& request) {
  return static_cast<std::int64_t>(request.guidance.weights_for(request.task).size()) + 1;
}

// As many samples as are drawn at once: what memory is needed for.
generation::GenerationRequest largest(generation::GenerationRequest request,
                                      const SampleArguments& arguments) {
  const std::int64_t each = request.count * request.best_of * rows_of(request);
  request.count *= std::max<std::int64_t>(1, arguments.batch / each);
  return request;
}

}  // namespace

BundleSampler::BundleSampler(const SampleArguments& arguments)
    : arguments_(arguments),
      base_(request_without_prompts(arguments, task_of_prompts(arguments))),
      words_(model::load_bundle_words(arguments.model)),
      bundle_(load_model(arguments, largest(base_, arguments))) {
  generation::GenerationRequest any = base_;
  any.prompts = {"a"};
  generation::check_request(any, bundle_);
}

PromptSampler::Json BundleSampler::settings() const {
  const tokenizers::TokenFormat tokens = bundle_.tokenizers.format();
  Json settings = shared_settings(arguments_);
  settings["weights"] = identity_of_bundle(arguments_.model);
  settings["vocabulary"] = hexadecimal(bundle_.vocabulary().fingerprint());
  settings["image_tokenizer"] = hexadecimal(tokens.image.tokenizer);
  settings["shape_tokenizer"] = hexadecimal(tokens.shape.tokenizer);
  settings["task"] = base_.task.name;
  settings["images"] = contents_of(arguments_.images);
  settings["image_views"] = arguments_.image_views;
  settings["as_it_is"] = arguments_.as_it_is;
  settings["meshes"] = contents_of(arguments_.meshes);
  settings["detail"] = arguments_.detail;
  settings["view"] = arguments_.view;
  settings["colour"] = !arguments_.no_colour;
  return settings;
}

PromptSampler::Json BundleSampler::effective_settings() const {
  std::optional<int> resolution;
  if (sequence::makes(base_.task, sequence::Modality::shape))
    resolution = arguments_.mesh.resolution > 0
                     ? arguments_.mesh.resolution
                     : generation::default_mesh_resolution(*bundle_.tokenizers.shape());
  return shared_effective_settings(arguments_, base_.guidance.weights_for(base_.task), resolution);
}

std::int64_t BundleSampler::rows_per_sample() const { return base_.best_of * rows_of(base_); }

void BundleSampler::check(const std::string& prompt) const {
  std::vector<std::string> prompts = {prompt};
  check_prompts(prompts, words_, arguments_);
}

void BundleSampler::sample(std::span<const SeededPrompt> prompts, const generation::SampleOptions& options,
                           const generation::OnSample& on_sample) {
  std::vector<generation::GenerationRequest> requests;
  for (const SeededPrompt& prompt : prompts) {
    requests.push_back(base_);
    if (!is_blank(prompt.text)) requests.back().prompts = {prompt.text};
    requests.back().seed = prompt.seed;
    requests.back().first_sample = prompt.first_sample;
    requests.back().count = prompt.count;
  }
  generation::make_samples(bundle_, requests, options, on_sample);
}

}  // namespace omni::tools
