#include <algorithm>
#include <memory>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/progress.h"
#include "omni/geometry/mesh_files.h"
#include "omni/kernels/cuda_plugin.h"
#include "options.h"
#include "sample_output.h"

namespace omni::tools {
namespace {

using generation::GenerationRequest;
using sequence::Modality;

struct SampleArguments {
  std::string model, task;
  std::vector<std::string> prompts, images, meshes, image_views;
  std::string view, guidance, out, preview, codes;
  std::int64_t count = 1, detail = 0, batch = 96;
  std::uint64_t seed = 0;
  kernels::SamplingSettings sampling;
  int resolution = 0;
  std::uint64_t faces = 0;
  std::string device = "cpu", precision = "auto";
  bool keep_floaters = false, no_colour = false, snap_to_box = false;
};

void add_options(CLI::App& command, SampleArguments& arguments) {
  command.add_option("--model", arguments.model, "the bundle: a folder with tokenizers and weights")
      ->required();
  command.add_option(
      "--task", arguments.task,
      "such as text->image->shape, or one of the model's own; chosen from what is given if absent");
  command.add_option("--prompt", arguments.prompts, "a text; for editing tasks the instruction")
      ->allow_extra_args(false);
  command.add_option("--image", arguments.images, "a PNG, JPEG or WebP file; repeat for several views")
      ->allow_extra_args(false);
  command.add_option("--image-view", arguments.image_views, "azimuth,elevation of each --image, in degrees")
      ->allow_extra_args(false);
  command.add_option("--mesh", arguments.meshes, "a GLB, glTF, OBJ, PLY or STL file")
      ->allow_extra_args(false);
  command.add_option("--view", arguments.view, "azimuth,elevation of generated images, in degrees");
  command.add_option("--out", arguments.out,
                     ".glb, .obj, .ply, .stl, .png or .txt; _0, _1, ... with --count");
  command.add_option("--preview", arguments.preview, "a PNG of every sample's shape from eight sides");
  command.add_option("--codes", arguments.codes, "a JSON file of the sampled codes");
  add_number(command, "--count", arguments.count, {1, 1e6}, "samples to make");
  add_number(command, "--seed", arguments.seed, kSeeds, "same seed and settings, same result");
  add_number(command, "--temperature", arguments.sampling.temperature, {0, 100},
             "0 takes the likeliest token");
  add_number(command, "--top-k", arguments.sampling.top_k, {0, 1e9}, "keep the k likeliest tokens; 0: all");
  add_number(command, "--top-p", arguments.sampling.top_p, {1e-6, 1},
             "keep the likeliest tokens up to this probability");
  add_number(command, "--min-p", arguments.sampling.min_p, kShares,
             "keep tokens with this share of the likeliest one's");
  command.add_option("--guidance", arguments.guidance, "one weight, or one per condition: text=3,image=1.5");
  add_number(command, "--detail", arguments.detail, {0, 32768}, "number of geometry codes; 0: all");
  add_number(command, "--resolution", arguments.resolution, {0, 512},
             "mesh cells per axis; 0: what suits the tokenizer");
  add_number(command, "--faces", arguments.faces, kCounts,
             "simplify meshes to about this many triangles; 0: no");
  command.add_flag("--keep-floaters", arguments.keep_floaters, "keep small loose parts");
  command.add_flag("--snap-to-box", arguments.snap_to_box, "stretch meshes to the box that the model names");
  command.add_flag("--no-colour", arguments.no_colour, "make shapes without colours");
  add_choice(command, "--device", arguments.device, {"cpu", "cuda"}, "where the transformer runs");
  add_choice(command, "--precision", arguments.precision, {"auto", "fp32", "bf16", "int8"},
             "of weights and cache while decoding; auto: fp32, on a GPU bf16; lower ones are faster on large "
             "models");
  add_number(command, "--batch", arguments.batch, {1, 4096}, "sequences decoded side by side");
}

// What the output files say of it; texts are printed where there are none.
Modality wanted_modality(const SampleArguments& arguments) {
  if (!arguments.out.empty()) return modality_of_output(arguments.out);
  if (!arguments.preview.empty()) return Modality::shape;
  if (!arguments.prompts.empty()) {
    fail(
        ErrorKind::usage,
        "choosing a task: nothing says what to make of the prompt. Name a file with --out (.glb, .obj, .ply, "
        ".stl or .png), a --preview, or a --task.");
  }
  return Modality::text;
}

// Everything that can be checked without the model's weights.
GenerationRequest read_request(const SampleArguments& arguments) {
  GenerationRequest request;
  std::string task = arguments.task;
  if (task.empty()) {
    task =
        generation::default_task(arguments.prompts.size(), arguments.images.size(), arguments.meshes.size(),
                                 wanted_modality(arguments), !arguments.view.empty());
  }
  const std::vector<std::string> built_in = sequence::built_in_task_names();
  const bool own = std::find(built_in.begin(), built_in.end(), task) == built_in.end();
  request.task = sequence::find_task(
      task, own ? model::load_bundle_tasks(arguments.model) : std::vector<sequence::Task>());
  request.prompts = arguments.prompts;
  if (!arguments.view.empty()) request.view = generation::parse_view(arguments.view);
  if (!arguments.guidance.empty()) request.guidance = generation::parse_guidance(arguments.guidance);
  (void)request.guidance.weights_for(request.task);
  request.sampling = arguments.sampling;
  kernels::validate(request.sampling);
  request.seed = arguments.seed;
  request.count = arguments.count;
  request.geometry_codes = arguments.detail;
  request.with_colour = !arguments.no_colour;
  return request;
}

void read_images(const SampleArguments& arguments, GenerationRequest& request) {
  if (arguments.image_views.size() > arguments.images.size()) {
    fail(ErrorKind::usage, "reading the views of images: ", arguments.image_views.size(), " are given for ",
         arguments.images.size(), " images.");
  }
  for (std::size_t i = 0; i < arguments.images.size(); ++i) {
    generation::ImageCondition condition{.image = image::read_image(arguments.images[i]), .view = {}};
    if (i < arguments.image_views.size()) condition.view = generation::parse_view(arguments.image_views[i]);
    request.images.push_back(std::move(condition));
  }
}

void read_meshes(const SampleArguments& arguments, const model::Bundle& bundle, GenerationRequest& request) {
  if (!arguments.meshes.empty() && !bundle.tokenizers.shape()) {
    fail(ErrorKind::usage, "reading --mesh: the model has no shape tokenizer. Choose another model.");
  }
  for (const std::string& path : arguments.meshes) {
    request.shapes.push_back(
        generation::shape_condition(geometry::read_mesh(path), bundle.tokenizers.shape()->required_input()));
  }
}

SampleOutput read_output(const SampleArguments& arguments, const sequence::Task& task) {
  SampleOutput output;
  output.out = arguments.out;
  output.preview = arguments.preview;
  output.codes = arguments.codes;
  output.count = arguments.count;
  output.snap_to_box = arguments.snap_to_box;
  if (arguments.resolution != 0) output.mesh.resolution = arguments.resolution;
  output.mesh.faces = arguments.faces;
  output.mesh.keep_floaters = arguments.keep_floaters;
  output.mesh.with_colour = !arguments.no_colour;
  output.check(task);
  return output;
}

// Writes samples as they come: what is finished stays after Ctrl-C, and memory grows with --count for the
// preview alone.
class SampleWriter {
 public:
  explicit SampleWriter(const SampleOutput& output) : output_(output) {}

  void write(const std::vector<generation::GeneratedSample>& samples) {
    for (const generation::GeneratedSample& sample : samples) {
      try {
        for (image::Image& picture : output_.write(sample)) pictures_.push_back(std::move(picture));
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::input) throw;
        failure_ = error.what();
        log_warning(failure_);
      }
    }
  }
  // Throws Error(input) where a sample could not be written.
  void finish() const {
    if (!pictures_.empty()) image::write_png(output_.preview, image::contact_sheet(pictures_, 8));
    if (!failure_.empty()) fail(ErrorKind::input, failure_);
  }

 private:
  const SampleOutput& output_;
  std::vector<image::Image> pictures_;
  std::string failure_;
};

model::DecodePrecision decode_precision(const SampleArguments& arguments) {
  if (arguments.precision != "auto") return model::parse_decode_precision(arguments.precision);
  return model::parse_decode_precision(arguments.device == "cuda" ? "bf16" : "fp32");
}

void sample_in_pieces(const model::Bundle& bundle, GenerationRequest request,
                      const SampleArguments& arguments, SampleWriter& writer) {
  const std::int64_t piece = arguments.batch;
  const std::int64_t count = request.count;
  std::unique_ptr<Progress> progress;
  std::int64_t shown = 0;
  generation::GeneratorOptions options;
  options.sequences_per_batch = piece;
  options.precision = decode_precision(arguments);
  options.on_progress = [&](std::int64_t sampled, std::int64_t bound) {
    if (!progress) progress = std::make_unique<Progress>("sampling", bound / request.count * count, "tokens");
    progress->advance(sampled - shown);
    shown = sampled;
  };
  const generation::Generator generator(bundle, options);
  for (std::int64_t first = 0; first < count; first += piece) {
    request.first_sample = static_cast<std::uint64_t>(first);
    request.count = std::min(piece, count - first);
    shown = 0;
    const auto samples = generator.generate({&request, 1});
    if (first + request.count == count) progress.reset();
    writer.write(samples);
  }
}

void run_sample(const SampleArguments& arguments) {
  GenerationRequest request = read_request(arguments);
  SampleOutput output = read_output(arguments, request.task);
  read_images(arguments, request);
  if (arguments.device == "cuda") kernels::require_gpu("sampling");
  const model::Bundle bundle = model::load_bundle(arguments.model);
  if (arguments.device == "cuda") {
    bundle.transformer->to(at::kCUDA);
    bundle.transformer->set_activation_type(arguments.precision == "fp32" ? at::kFloat : at::kBFloat16);
  }
  read_meshes(arguments, bundle, request);
  if (arguments.resolution == 0 && bundle.tokenizers.shape()) {
    output.mesh.resolution = generation::default_mesh_resolution(*bundle.tokenizers.shape());
  }
  generation::Generator(bundle).check(request);

  SampleWriter writer(output);
  sample_in_pieces(bundle, request, arguments, writer);
  writer.finish();
}

}  // namespace

void add_sample_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("sample", "make meshes, pictures or texts with a trained model");
  const auto arguments = std::make_shared<SampleArguments>();
  add_options(*command, *arguments);
  command->callback([arguments] { run_sample(*arguments); });
}

}  // namespace omni::tools
