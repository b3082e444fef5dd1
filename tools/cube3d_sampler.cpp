#include "cube3d_sampler.h"

#include <algorithm>

#include "omni/core/error.h"
#include "omni/core/number.h"
#include "omni/core/safetensors.h"
#include "omni/model/cube3d_files.h"
#include "omni/model/decoding_memory.h"
#include "sample_memory.h"
#include "sample_model.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;

// Of features, meshes and the field at the points of a mesh, in bytes.
constexpr double kMeshing = 0.5e9;

std::optional<model::Cube3dVersion> version_of(const std::string& name) {
  if (name == "cube3d-v0.5") return model::Cube3dVersion::v0_5;
  if (name == "cube3d-v0.1") return model::Cube3dVersion::v0_1;
  return {};
}

bool is_imported(const std::string& folder) { return fs::exists(fs::path(folder) / "public.yaml"); }

model::Cube3dFiles files_of(const SampleArguments& arguments) {
  const auto version = version_of(arguments.model);
  if (!version || (arguments.weights.empty() && is_imported(arguments.model)))
    return model::imported_cube3d(arguments.model);
  if (arguments.weights.empty())
    fail(ErrorKind::usage, "choosing a model: ", arguments.model,
         " is read from the files that were published. Name their folder with --weights");
  return model::find_cube3d(arguments.weights, *version, arguments.text_tower, arguments.config);
}

geometry::Vec3 parse_box(const std::string& text) {
  geometry::Vec3 box;
  std::size_t begin = 0;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::size_t end = axis < 2 ? text.find(',', begin) : text.size();
    const std::string side = text.substr(std::min(begin, text.size()), end - begin);
    if (end == std::string::npos || side.find(',') != std::string::npos)
      fail(ErrorKind::usage, "--bbox is '", text, "'; it must be three numbers, such as 1,2,1.5");
    const std::string mistake = read_number(side, {}, box[axis]);
    if (!mistake.empty()) fail(ErrorKind::usage, "--bbox: its side along ", "xyz"[axis], " ", mistake);
    begin = end + 1;
  }
  return box;
}

// The publication's scale.
double parse_scale(const std::string& text) {
  if (text.empty()) return generation::Cube3dSampling().guidance;
  const generation::GuidanceSettings settings = generation::parse_guidance(text);
  return settings.weights_for(sequence::built_in_task("text->shape")).at(0);
}

generation::TextToShapeRequest request_of(const SampleArguments& arguments, const model::Cube3dFiles& files) {
  generation::TextToShapeRequest request;
  if (!arguments.box.empty()) request.box = parse_box(arguments.box);
  request.sampling.codes = model::codes_per_shape(files);
  request.sampling.guidance = parse_scale(arguments.guidance);
  request.sampling.schedule = generation::parse_guidance_schedule(arguments.guidance_schedule);
  request.sampling.sampling = arguments.sampling;
  request.sampling.first_codes = read_first_codes(arguments);
  request.count = arguments.count;
  request.best_of = arguments.best_of;
  generation::check_request(request, files.config);
  return request;
}

// Of a folder or the file itself.
fs::path file_in(const fs::path& path, const char* name) {
  return fs::is_directory(path) ? path / name : path;
}
fs::path tokenizer_file(const model::Cube3dFiles& files) {
  return file_in(files.shape_tokenizer, "weights.safetensors");
}

// So many sequences as fit, of at most as many as are asked for.
std::int64_t fitting_sequences(const SampleArguments& arguments, const model::Cube3dFiles& files,
                               const generation::TextToShapeRequest& request) {
  const model::Transformer shapes(model::transformer_config(files.config), model::vocabulary(files.config),
                                  {}, nn::ParameterStart::shapes());
  constexpr std::int64_t kLongestPrompt = 78;
  const std::int64_t capacity = kLongestPrompt + request.sampling.codes;
  const double others = kMeshing + static_cast<double>(fs::file_size(tokenizer_file(files)));
  const auto needed = [&](const std::string& precision, std::int64_t sequences) {
    return others +
           static_cast<double>(model::decoding_memory(shapes, model::parse_decode_precision(precision),
                                                      sequences, capacity, /*mapped=*/true)
                                   .total());
  };
  const std::string precision = precision_name(arguments);
  const std::int64_t least = rows_per_draw(request.sampling);
  const double free = require_memory(arguments.model, precision,
                                     [&](const std::string& name) { return needed(name, least); });
  const double each = needed(precision, 2) - needed(precision, 1);
  const double more = std::max(0.0, free - needed(precision, least)) / each;
  return std::max(least, std::min(arguments.batch, least + static_cast<std::int64_t>(std::min(more, 1e6))));
}

}  // namespace

bool names_cube3d(const SampleArguments& arguments) {
  if (version_of(arguments.model)) return true;
  if (arguments.model.empty() || !is_imported(arguments.model)) return false;
  if (model::public_family(arguments.model) == model::PublicFamily::cube3d) return true;
  fail(ErrorKind::usage, "choosing a model: '", arguments.model,
       "' is a public model that makes no shapes. Name a bundle or a Cube3D");
}

Cube3dSampler::Cube3dSampler(const SampleArguments& arguments)
    : arguments_(arguments),
      task_(sequence::built_in_task("text->shape")),
      files_(files_of(arguments)),
      request_(request_of(arguments, files_)) {
  if (arguments.device != "cpu")
    fail(ErrorKind::usage, "--device is ", arguments.device, "; a Cube3D is decoded on the cpu");
  sequences_ = fitting_sequences(arguments, files_, request_);
}

PromptSampler::Json Cube3dSampler::settings() const {
  Json settings = shared_settings(arguments_);
  settings["weights"] = identity_of(files_.weights);
  settings["text_tower"] = identity_of(file_in(files_.text.weights, "model.safetensors"));
  settings["shape_tokenizer"] = identity_of(tokenizer_file(files_));
  settings["task"] = task_.name;
  settings["bbox"] = arguments_.box;
  return settings;
}

std::int64_t Cube3dSampler::rows_per_sample() const {
  return rows_per_draw(request_.sampling) * request_.best_of;
}

void Cube3dSampler::check(const std::string& prompt) const {
  if (is_blank(prompt) && !arguments_.any)
    fail(ErrorKind::usage,
         "reading the prompt: it is empty. Say what to make, or draw without a prompt by --any.");
}

void Cube3dSampler::sample(std::span<const SeededPrompt> prompts, const generation::SampleOptions& options,
                           const generation::OnSample& on_sample) {
  std::vector<std::string> texts;
  std::vector<generation::TextToShapeRequest> requests;
  for (const SeededPrompt& prompt : prompts) {
    texts.push_back(is_blank(prompt.text) ? "" : prompt.text);
    requests.push_back(request_);
    requests.back().sampling.seed = prompt.seed;
  }
  const generation::TextFeatures features = generation::text_features(model::open_cube3d_text(files_), texts);
  if (!model_) {
    model_ = model::open_cube3d(files_, options.precision.weights);
    if (options.precision.weights != kernels::DecodeFormat::fp32) model_->shape->compute_in(at::kBFloat16);
  }
  generation::SampleOptions own = options;
  own.sequences_per_batch = sequences_;
  generation::make_samples(*model_, features, requests, own, on_sample);
}

}  // namespace omni::tools
