#include "cube3d_sampler.h"

#include <algorithm>
#include <set>

#include "omni/core/error.h"
#include "omni/core/number.h"
#include "omni/core/safetensors.h"
#include "omni/core/utf8.h"
#include "omni/core/weight_source.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/kernels/cuda_plugin.h"
#include "omni/model/cube3d_files.h"
#include "omni/model/decoding_memory.h"
#include "omni/model/public_model.h"
#include "sample_memory.h"
#include "sample_model.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;

// Of features, meshes and the field at the points of a mesh, in bytes.
constexpr double kMeshing = 0.5e9;

model::Cube3dFiles find_files(const SampleArguments& arguments) {
  if (names_imported_cube3d(arguments)) return model::imported_cube3d(arguments.model);
  if (arguments.weights.empty())
    fail(ErrorKind::usage, "choosing a model: ", arguments.model,
         " is read from the files that were published. Name their folder with --weights");
  return model::find_cube3d(arguments.weights, *model::parse_cube3d_version(arguments.model),
                            arguments.text_tower, arguments.config);
}

// Before memory is reckoned by sizes that the files may not have.
model::Cube3dFiles files_of(const SampleArguments& arguments) {
  model::Cube3dFiles files = find_files(arguments);
  model::require_fitting(files);
  return files;
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

// The publication's scale, whose range is not that of a bundle's weights: check_request() tells of it.
double parse_scale(const std::string& text) {
  if (text.empty()) return generation::Cube3dSampling().guidance;
  double scale = 0;
  if (read_number(text.starts_with("text=") ? text.substr(5) : text, {}, scale).empty()) return scale;
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

fs::path folder_of(const fs::path& path) { return fs::is_directory(path) ? path : path.parent_path(); }
fs::path tokenizer_file(const model::Cube3dFiles& files) {
  const fs::path& path = files.shape_tokenizer;
  return fs::is_directory(path) ? path / "weights.safetensors" : path;
}

// Of all shards.
std::string identity_of_all(const fs::path& weights) {
  const WeightSource source(weights);
  std::string identity;
  for (const fs::path& file : source.files())
    identity += concat(identity.empty() ? "" : ", ", identity_of(file));
  return identity;
}

// The description beside a part's weights, whichever files of these names there are.
void add_contents(PromptSampler::Json& settings, const char* part, const fs::path& folder,
                  std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (fs::exists(folder / name)) settings[concat(part, " ", name)] = content_of(folder / name);
}

// A file of prompts is sampled batch by batch, each of which asks the text tower first.
bool keeps_text_tower(const SampleArguments& arguments) { return !arguments.prompts_file.empty(); }

// As it is read, in fp32; the tower of pictures beside it is not.
double text_tower_bytes(const model::Cube3dFiles& files) {
  const WeightSource source(files.text.weights);
  double elements = 0;
  for (const auto& [name, view] : source.tensors())
    if (!name.starts_with("vision_model.")) elements += static_cast<double>(view.element_count());
  return sizeof(float) * elements;
}

bool on_gpu(const SampleArguments& arguments) { return arguments.device == "cuda"; }

// Of parameters that are mapped: all where the publisher's numbers are of bf16, else none that is known before.
std::set<std::string> parameters_of_bf16(const model::Transformer& shapes, const fs::path& weights) {
  const WeightSource source(weights);
  for (const auto& [name, view] : source.tensors())
    if (view.dtype != DType::bf16) return {};
  std::set<std::string> names;
  for (const nn::Parameter& parameter : shapes.parameters().all()) names.insert(parameter.name);
  return names;
}

// Of the GPT, in bytes. `of_bf16`: its parameters whose numbers are of bf16.
double decoding_bytes(const model::Transformer& shapes, const SampleArguments& arguments,
                      const std::set<std::string>& of_bf16, const std::string& precision_name,
                      std::int64_t sequences, std::int64_t capacity) {
  const model::DecodePrecision precision = model::parse_decode_precision(precision_name);
  const model::DecodingMemory memory =
      on_gpu(arguments) ? model::device_decoding_memory(shapes, precision, sequences, capacity)
                        : model::decoding_memory(shapes, precision, sequences, capacity,
                                                 {.mapped = true, .of_bf16 = of_bf16});
  return static_cast<double>(memory.total());
}

// So many sequences as fit, of at most as many as are asked for.
std::int64_t fitting_sequences(const SampleArguments& arguments, const model::Cube3dFiles& files,
                               const generation::TextToShapeRequest& request) {
  const model::Transformer shapes(model::transformer_config(files.config), model::vocabulary(files.config),
                                  {}, nn::ParameterStart::shapes());
  // On a GPU no weights are packed.
  const std::set<std::string> of_bf16 =
      on_gpu(arguments) ? std::set<std::string>() : parameters_of_bf16(shapes, files.weights);
  constexpr std::int64_t kLongestPrompt = 78;
  const std::int64_t capacity = kLongestPrompt + request.sampling.codes;
  const double others = kMeshing + (keeps_text_tower(arguments) ? text_tower_bytes(files) : 0);
  const auto tokenizer_bytes = static_cast<double>(fs::file_size(tokenizer_file(files)));
  // The tokenizer is read in fp32; embeddings, norms and codebook stay so where its matrices become bf16.
  constexpr double kShareInBf16 = 0.56;
  // Of a sequence: the prompt's activations, which pass all together, and half of a shape's field until it is handed on.
  constexpr double kBesideOnGpu = 8e6;
  const auto needed = [&](const std::string& precision, std::int64_t sequences) {
    const double decoding = decoding_bytes(shapes, arguments, of_bf16, precision, sequences, capacity);
    if (on_gpu(arguments))
      return others + tokenizer_bytes + decoding + kBesideOnGpu * static_cast<double>(sequences);
    if (precision == "fp32") return others + tokenizer_bytes + decoding;
    return others + std::max(tokenizer_bytes, kShareInBf16 * tokenizer_bytes + decoding);
  };
  const std::string precision = precision_name(arguments);
  const std::int64_t least = rows_per_draw(request.sampling);
  const auto bytes = [&](const std::string& name) { return needed(name, least); };
  const double free = on_gpu(arguments) ? require_gpu_memory(arguments.model, precision, bytes)
                                        : require_memory(arguments.model, precision, bytes);
  const double each = needed(precision, 2) - needed(precision, 1);
  const double more = std::max(0.0, free - needed(precision, least)) / each;
  return std::max(least, std::min(arguments.batch, least + static_cast<std::int64_t>(std::min(more, 1e6))));
}

}  // namespace

bool names_cube3d(const SampleArguments& arguments) {
  if (model::parse_cube3d_version(arguments.model)) return true;
  if (arguments.model.empty() || !model::is_public_folder(arguments.model)) return false;
  if (model::public_family(arguments.model) == model::PublicFamily::cube3d) return true;
  fail(ErrorKind::usage, "choosing a model: '", arguments.model,
       "' is a public model that makes no shapes. Name a bundle or a Cube3D");
}

bool names_imported_cube3d(const SampleArguments& arguments) {
  return !model::parse_cube3d_version(arguments.model) ||
         (arguments.weights.empty() && model::is_public_folder(arguments.model));
}

Cube3dSampler::Cube3dSampler(const SampleArguments& arguments)
    : arguments_(arguments),
      task_(sequence::built_in_task("text->shape")),
      files_(files_of(arguments)),
      request_(request_of(arguments, files_)) {
  if (on_gpu(arguments)) kernels::require_capable_gpu("sampling", 0);
  sequences_ = fitting_sequences(arguments, files_, request_);
}

PromptSampler::Json Cube3dSampler::settings() const {
  Json settings = shared_settings(arguments_);
  settings["weights"] = identity_of_all(files_.weights);
  if (names_imported_cube3d(arguments_))
    add_contents(settings, "weights", folder_of(files_.weights), {"public.yaml"});
  if (!arguments_.config.empty()) settings["config"] = content_of(arguments_.config);
  settings["text_tower"] = identity_of_all(files_.text.weights);
  add_contents(settings, "text_tower", folder_of(files_.text.weights),
               {"public.yaml", "config.json", "tokenizer.json", "model.safetensors.index.json"});
  settings["shape_tokenizer"] = identity_of(tokenizer_file(files_));
  if (fs::is_directory(files_.shape_tokenizer))
    add_contents(settings, "shape_tokenizer", files_.shape_tokenizer, {"config.yaml"});
  settings["task"] = task_.name;
  settings["bbox"] = arguments_.box;
  return settings;
}

PromptSampler::Json Cube3dSampler::effective_settings() const {
  const int resolution = arguments_.mesh.resolution;
  return shared_effective_settings(arguments_, request_.sampling.guidance,
                                   resolution > 0 ? resolution : generation::kCube3dMeshResolution);
}

std::int64_t Cube3dSampler::rows_per_sample() const {
  return rows_per_draw(request_.sampling) * request_.best_of;
}

void Cube3dSampler::check(const std::string& prompt) const {
  check_prompt(prompt);
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
    requests.back().first_sample = prompt.first_sample;
    requests.back().count = prompt.count;
  }
  const at::Device device = on_gpu(arguments_) ? at::kCUDA : at::kCPU;
  if (!text_) {
    text_ = model::open_cube3d_text(files_);
    text_->to(device);
  }
  const generation::TextFeatures features = generation::text_features(*text_, texts);
  if (!keeps_text_tower(arguments_)) text_.reset();
  if (!model_) {
    const bool in_fp32 = options.precision.weights == kernels::DecodeFormat::fp32;
    model_ = device.is_cpu() ? model::open_cube3d(files_, options.precision.weights)
                             : model::open_cube3d(files_, device, in_fp32 ? at::kFloat : at::kBFloat16);
    if (!in_fp32) model_->shape->compute_in(at::kBFloat16);
    if (!in_fp32 && !device.is_cpu()) model_->gpt->transformer().set_activation_type(at::kBFloat16);
    kernels::return_freed_memory();  // of the text tower, and of weights in fp32
  }
  generation::SampleOptions own = options;
  own.sequences_per_batch = sequences_;
  generation::make_samples(*model_, features, requests, own, on_sample);
}

}  // namespace omni::tools
