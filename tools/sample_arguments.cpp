#include "sample_arguments.h"

#include <algorithm>

#include "cube3d_sampler.h"
#include "default_model.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "omni/core/utf8.h"
#include "omni/data/prompt_list.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/mesh_frame.h"
#include "omni/image/object_picture.h"
#include "omni/tokenizers/shape_codes_file.h"
#include "options.h"
#include "prompt_words.h"
#include "result_file.h"

namespace omni::tools {
namespace {

using generation::GenerationRequest;
using sequence::Modality;

// Temperature 0 makes the best shapes (IoU 0.636; 0.594 at 1), but several samples are to differ.
constexpr double kTemperatureOfOne = 0, kTemperatureOfSeveral = 0.7;
// Of a shape by way of a picture: IoU 0.730, 0.717 at 1 (256 prompts, paired difference 0.014, 0.001 to 0.027).
constexpr const char* kGuidanceThroughAPicture = "text=2";
// A bundle on the processor is no faster with more (32: 2381 tokens/s, 96: 2078, 16: 1981; the demo's model, one thread),
// and a batch that is stopped is lost.
constexpr std::int64_t kBatchOfBundles = 32;
// Of a Cube3D of which a filter is asked for: its reference's.
constexpr double kTemperatureOfFilters = 1;

void add_subject_options(CLI::App& command, SampleArguments& arguments) {
  const char* group = "What to make";
  command
      .add_option(
          "--model", arguments.model,
          "the bundle: a folder with tokenizers and weights; a Cube3D that was imported, or cube3d-v0.5 or "
          "cube3d-v0.1 with --weights; absent: the tiny one that comes with omni")
      ->group(group);
  command
      .add_option("--weights", arguments.weights,
                  "the folder of a Cube3D's files as they were published, with CLIP ViT-L/14 in it")
      ->group(group);
  command
      .add_option("--text", arguments.text_tower, "the folder of CLIP, where it is not in that of --weights")
      ->group(group);
  command
      .add_option("--config", arguments.config,
                  "the JSON configuration of a Cube3D of other sizes than the published ones")
      ->group(group);
  command
      .add_option(
          "--task", arguments.task,
          "such as text->image->shape, or one of the model's own; chosen from what is given if absent")
      ->group(group);
  add_number(command, "--count", arguments.count, {1, 1e6}, "samples to make")->group(group);
  add_number(command, "--detail", arguments.detail, {0, 32768}, "number of geometry codes; 0: all")
      ->group(group);
  command.add_option("--view", arguments.view, "azimuth,elevation of generated images, in degrees")
      ->group(group);
  command.add_flag("--no-colour", arguments.no_colour, "make shapes without colours")->group(group);
  command
      .add_option("--bbox", arguments.box,
                  "x,y,z: the sides of the box that a Cube3D's shape fills, in any unit")
      ->group(group);
  command
      .add_option("--first-codes", arguments.first_codes,
                  "an .npy, .json or .yaml file of the geometry codes that every shape starts with")
      ->group(group);
}

void add_condition_options(CLI::App& command, SampleArguments& arguments) {
  const auto add = [&](const char* name, std::vector<std::string>& values, const char* help) {
    command.add_option(name, values, help)->allow_extra_args(false)->group("Conditions");
  };
  add("--prompt", arguments.prompts, "a text");
  command
      .add_option(
          "--prompts", arguments.prompts_file,
          "a .txt, .csv or .jsonl file of prompts, all of which are sampled into the folder --out; a run "
          "that was stopped goes on there")
      ->group("Conditions");
  command
      .add_option("--instruction", arguments.instruction,
                  "what to change about the --mesh or --image, such as \"paint the seat blue\"")
      ->group("Conditions");
  command
      .add_flag("--any", arguments.any,
                "sample although the prompt is missing, empty, or has no word that the model knows")
      ->group("Conditions");
  add("--image", arguments.images, "a PNG, JPEG or WebP file; repeat for several views");
  command
      .add_flag("--as-it-is", arguments.as_it_is,
                "read pictures as they are: otherwise an object before a plain ground is cut out and centred")
      ->group("Conditions");
  add("--image-view", arguments.image_views, "azimuth,elevation of each --image, in degrees");
  add("--mesh", arguments.meshes, "a GLB, glTF, OBJ, PLY or STL file");
}

void add_output_options(CLI::App& command, SampleArguments& arguments) {
  const char* group = "Output";
  command
      .add_option(
          "--out", arguments.out,
          ".glb, .obj, .ply, .stl, .png, .jpg, .webp or .txt; _0, _1, ... with --count; - is standard "
          "output")
      ->group(group);
  add_format_option(command, arguments.format, {"glb", "obj", "ply", "stl", "png", "jpg", "webp", "txt"})
      ->group(group);
  command
      .add_option("--preview", arguments.preview,
                  "a .png, .jpg or .webp of every sample's shape from eight sides")
      ->group(group);
  command
      .add_option("--turntable", arguments.turntable,
                  "a .png that turns each sample's shape; _0, _1, ... with --count")
      ->group(group);
  command
      .add_option(
          "--codes", arguments.codes,
          "a .json file of the sampled codes, or an .npy file of a shape's; - is standard output, a line "
          "per sample")
      ->group(group);
}

void add_sampling_options(CLI::App& command, SampleArguments& arguments) {
  const char* group = "Sampling";
  kernels::SamplingSettings& sampling = arguments.sampling;
  add_number(command, "--seed", arguments.seed, kSeeds, "same seed and settings, same result")->group(group);
  add_number(command, "--temperature", sampling.temperature, {0, kernels::kMaximumTemperature},
             "0 takes the likeliest token")
      ->default_str(concat("0, with --count or --best-of above 1 ", kTemperatureOfSeveral))
      ->group(group);
  add_number(command, "--top-k", sampling.top_k, {0, 1e9}, "keep the k likeliest tokens; 0: all")
      ->group(group);
  add_number(command, "--top-p", sampling.top_p, {1e-6, 1},
             "keep the likeliest tokens up to this probability")
      ->group(group);
  add_number(command, "--min-p", sampling.min_p, kShares,
             "keep tokens with this share of the likeliest one's")
      ->group(group);
  command
      .add_option(
          "--guidance", arguments.guidance,
          "one weight, or one per condition: text=3,image=1.5; 1, from a text by way of a picture to a shape 2; "
          "of a Cube3D its scale, 3")
      ->group(group);
  add_choice(command, "--guidance-schedule", arguments.guidance_schedule, {"constant", "linear"},
             "linear: weights fall to 1 over the tokens of a sample")
      ->default_str("constant, of a Cube3D linear")
      ->group(group);
  add_number(command, "--best-of", arguments.best_of, {1, 1000},
             "draw so many for each sample and keep the most probable one")
      ->group(group);
}

void add_mesh_options(CLI::App& command, SampleArguments& arguments) {
  const char* group = "Mesh";
  add_number(command, "--resolution", arguments.mesh.resolution, {0, 512},
             "mesh cells per axis; 0: what suits the tokenizer")
      ->group(group);
  add_number(command, "--faces", arguments.mesh.faces, kCounts,
             "simplify meshes to about this many triangles; 0: no")
      ->group(group);
  command.add_flag("--no-smoothing{false}", arguments.mesh.smooth_surface, "leave lumps on surfaces")
      ->group(group);
  command
      .add_flag("--uneven-feet{false}", arguments.mesh.level_feet,
                "leave feet that nearly end at one height as the model makes them")
      ->group(group);
  command.add_flag("--keep-floaters", arguments.mesh.keep_floaters, "keep small loose parts")->group(group);
  command
      .add_flag("--snap-to-box", arguments.mesh.snap_to_box, "stretch meshes to the box that the model names")
      ->group(group);
}

void add_machine_options(CLI::App& command, SampleArguments& arguments) {
  const char* group = "Machine";
  add_choice(command, "--device", arguments.device, {"cpu", "cuda"}, "where the transformer runs")
      ->group(group);
  add_choice(command, "--precision", arguments.precision, {"auto", "fp32", "bf16", "int8"},
             "of weights and cache while decoding; auto: fp32, on a GPU bf16; lower ones are faster on large "
             "models")
      ->group(group);
  add_number(command, "--batch", arguments.batch, {1, 4096}, "sequences decoded side by side")
      ->default_str(concat(arguments.batch, ", of a bundle on the processor ", kBatchOfBundles))
      ->group(group);
}

void refuse(const CLI::App& command, std::initializer_list<const char*> options, std::string_view why) {
  for (const char* option : options)
    if (command.count(option) > 0) fail(ErrorKind::usage, option, " ", why, ". Leave it out");
}

// A mistake in a script, which leaving the option out would be no answer to.
void refuse_empty(const CLI::App& command, std::initializer_list<const char*> options) {
  for (const char* option : options)
    if (command.count(option) > 0 && command.get_option(option)->as<std::string>().empty())
      fail(ErrorKind::usage, option, " is given without a value. Give it one, or leave it out");
}

void refuse_what_bundles_lack(const CLI::App& command, const std::string& model) {
  const bool meant_public = command.count("--weights") > 0 || model.starts_with("cube3d");
  if (meant_public && !model.empty() && !std::filesystem::exists(model))
    fail(ErrorKind::usage, "choosing a model: '", model,
         "' is neither a folder nor a public model. Those are cube3d-v0.5 and cube3d-v0.1");
  refuse(command, {"--weights", "--text", "--config"},
         "names the files of a public model, for which --model is cube3d-v0.5 or cube3d-v0.1");
  refuse(command, {"--bbox"}, "is read by a Cube3D alone");
}

void refuse_what_cube3d_lacks(const CLI::App& command, bool imported) {
  if (imported)
    refuse(
        command, {"--weights", "--text", "--config"},
        "names a file of a Cube3D as it was published; the folder of --model was imported with all of its own");
  refuse(command, {"--image", "--image-view", "--as-it-is", "--mesh", "--instruction", "--task", "--view"},
         "means nothing to a Cube3D, which leads from a text to a shape alone");
  refuse(command, {"--no-colour"}, "means nothing to a Cube3D, whose shapes have no colours");
  refuse(command, {"--detail"},
         "means nothing to a Cube3D, which draws all codes of a shape; --resolution sets how fine a mesh is");
  if (command.count("--bbox") == 0)
    refuse(command, {"--snap-to-box"}, "means nothing to a Cube3D without a --bbox");
}

// What the output files say of it. Codes alone are those of a shape where one can come of what is given;
// without any file texts are printed.
Modality wanted_modality(const SampleArguments& arguments) {
  const bool only_a_mesh = arguments.prompts.empty() && arguments.images.empty();
  if (!arguments.out.empty())
    return modality_of_output(ResultFile(arguments.out, arguments.format, "glb").path());
  if (!arguments.preview.empty() || !arguments.turntable.empty()) return Modality::shape;
  if (!arguments.codes.empty() && !only_a_mesh) return Modality::shape;
  if (!arguments.prompts.empty()) {
    fail(
        ErrorKind::usage,
        "choosing a task: nothing says what to make of the prompt. Name a file with --out (.glb, .obj, .ply, "
        ".stl or .png), a --preview, --codes, or a --task.");
  }
  return Modality::text;
}

// Of the tasks by which the model was trained to edit, the one that fits.
sequence::Task editing_task(const SampleArguments& arguments) {
  const std::vector<sequence::Task> own = model::load_bundle_tasks(arguments.model);
  if (!arguments.task.empty()) {
    sequence::Task task = sequence::find_task(arguments.task, own);
    if (sequence::is_editing_task(task)) return task;
    fail(ErrorKind::usage, "choosing a task: ", task.name,
         " edits nothing. Give its text as --prompt, or leave --task out.");
  }
  if (arguments.meshes.empty() && arguments.images.empty())
    fail(ErrorKind::usage,
         "choosing a task: there is nothing to edit. Give a --mesh or an --image beside the --instruction.");
  const Modality wanted = wanted_modality(arguments);
  const bool with_view = !arguments.view.empty();
  const auto words = model::load_bundle_words(arguments.model);
  if (!words || !words->instructions()) {
    log_warning(
        "the model was made before models kept their instructions: whether it learnt to edit is not known.");
    return sequence::find_task(
        generation::default_task(1, arguments.images.size(), arguments.meshes.size(), wanted, with_view),
        own);
  }
  if (words->instructions()->empty())
    fail(ErrorKind::usage, "choosing a task: the model ", arguments.model,
         " was not trained to edit. Train stage 3 with shape+text->shape in its mixture (omni finetune), or "
         "describe the whole object with --prompt.");
  std::string known;
  for (const auto& [name, wordings] : *words->instructions()) {
    sequence::Task task = sequence::find_task(name, own);
    const auto takes = [&](Modality modality) {
      return static_cast<std::size_t>(
          std::count_if(task.segments.begin(), task.segments.end(),
                        [&](const auto& segment) { return !segment.loss && segment.modality == modality; }));
    };
    const bool view_fits = std::any_of(task.segments.begin(), task.segments.end(), [](const auto& segment) {
                             return segment.loss && segment.view;
                           }) == with_view;
    if (takes(Modality::image) == arguments.images.size() &&
        takes(Modality::shape) == arguments.meshes.size() && takes(Modality::text) == 1 &&
        sequence::makes(task, wanted) && (wanted != Modality::image || view_fits))
      return task;
    known += (known.empty() ? "" : ", ") + name;
  }
  fail(ErrorKind::usage, "choosing a task: none of those by which the model edits (", known, ") leads from ",
       arguments.images.size(), " images and ", arguments.meshes.size(), " meshes to what is asked for.");
}

// From a text alone to a picture and on to a shape.
bool leads_through_a_picture(const sequence::Task& task) {
  bool from_text = false;
  for (const sequence::TaskSegment& segment : task.segments) {
    if (!segment.loss && segment.modality != Modality::text) return false;
    from_text = from_text || !segment.loss;
  }
  return from_text && sequence::makes(task, Modality::image) && sequence::makes(task, Modality::shape);
}

image::Image read_picture(const std::string& path, bool as_it_is) {
  image::Image picture = image::read_image(path);
  if (as_it_is) return picture;
  image::ObjectPicture object = image::frame_object(picture, path);
  if (object.doubt)
    log_warning(path, ": ", *object.doubt,
                ", which no picture was in training. The shape may be far from it");
  if (object.reframed) log_info(path, ": the object is cut out and put into the middle, before white");
  return std::move(object.image);
}

std::vector<generation::ImageCondition> read_images(const SampleArguments& arguments) {
  if (arguments.image_views.size() > arguments.images.size()) {
    fail(ErrorKind::usage, "reading the views of images: ", arguments.image_views.size(), " are given for ",
         arguments.images.size(), " images.");
  }
  std::vector<generation::ImageCondition> images;
  for (std::size_t i = 0; i < arguments.images.size(); ++i) {
    generation::ImageCondition condition{.image = read_picture(arguments.images[i], arguments.as_it_is),
                                         .view = {}};
    if (i < arguments.image_views.size()) condition.view = generation::parse_view(arguments.image_views[i]);
    images.push_back(std::move(condition));
  }
  return images;
}

}  // namespace

void add_sample_options(CLI::App& command, SampleArguments& arguments) {
  add_subject_options(command, arguments);
  add_condition_options(command, arguments);
  add_output_options(command, arguments);
  add_sampling_options(command, arguments);
  add_mesh_options(command, arguments);
  add_machine_options(command, arguments);
  for (const char* other : {"--prompt", "--instruction", "--preview", "--turntable", "--codes"})
    command.get_option("--prompts")->excludes(other);
}

Modality modality_of_output(const std::filesystem::path& path) {
  if (lower_extension(path) == ".txt") return Modality::text;
  if (image::is_image_file(path)) return Modality::image;
  if (geometry::is_written_mesh_file(path)) return Modality::shape;
  fail(ErrorKind::usage, "choosing the output ", path, ": the extension \"", path.extension().string(),
       "\" is not known. Use .glb, .obj, .ply, .stl, .png, .jpg, .webp or .txt.");
}

void check_prompt(const std::string& prompt) {
  if (const std::size_t broken = find_invalid_utf8(prompt); broken != std::string_view::npos)
    fail(ErrorKind::usage, "reading the prompt: byte ", broken + 1, " is no UTF-8. Write it in UTF-8");
  if (prompt.size() > data::kLongestPrompt)
    fail(ErrorKind::usage, "reading the prompt: it has ", prompt.size(), " bytes; ", data::kLongestPrompt,
         " are the most. Shorten it");
}

void choose_what_is_not_given(const CLI::App& command, SampleArguments& arguments) {
  const bool cube3d = names_cube3d(arguments);
  refuse_empty(command, {"--weights", "--text", "--config", "--bbox", "--guidance", "--first-codes"});
  cube3d ? refuse_what_cube3d_lacks(command, names_imported_cube3d(arguments))
         : refuse_what_bundles_lack(command, arguments.model);
  if (command.count("--temperature") == 0) {
    arguments.sampling.temperature =
        arguments.count > 1 || arguments.best_of > 1 ? kTemperatureOfSeveral : kTemperatureOfOne;
    if (cube3d && (command.count("--top-k") + command.count("--top-p") + command.count("--min-p") > 0))
      arguments.sampling.temperature = kTemperatureOfFilters;
  }
  if (arguments.sampling.temperature == 0)
    for (const char* filter : {"--top-k", "--top-p", "--min-p"})
      if (command.count(filter) > 0) log_warning(filter, " has no effect at temperature 0");
  if (command.count("--batch") == 0 && !cube3d && arguments.device == "cpu")
    arguments.batch = kBatchOfBundles;
  if (arguments.guidance_schedule.empty()) arguments.guidance_schedule = cube3d ? "linear" : "constant";
  if (!arguments.model.empty()) return;
  arguments.model = default_model();
  log_info("model: ", arguments.model);
}

std::vector<std::int32_t> read_first_codes(const SampleArguments& arguments) {
  if (arguments.first_codes.empty()) return {};
  return tokenizers::read_shape_codes(arguments.first_codes).geometry;
}

sequence::Task task_of(const SampleArguments& arguments) {
  std::string task = arguments.task;
  if (task.empty() && arguments.prompts.empty() && arguments.images.empty() && arguments.meshes.empty()) {
    fail(ErrorKind::usage,
         "choosing a task: nothing is given to start from. Give a --prompt, an --image or a ",
         "--mesh, and say with --out what to make of it, such as --prompt \"a red chair\" --out chair.glb");
  }
  if (!arguments.instruction.empty()) return editing_task(arguments);
  if (task.empty()) {
    task =
        generation::default_task(arguments.prompts.size(), arguments.images.size(), arguments.meshes.size(),
                                 wanted_modality(arguments), !arguments.view.empty());
  }
  return sequence::find_task(task, model::load_bundle_tasks(arguments.model));
}

void check_prompts(std::vector<std::string>& prompts, const std::optional<tokenizers::WordList>& words,
                   const SampleArguments& arguments) {
  for (const std::string& prompt : prompts) check_prompt(prompt);
  const std::size_t blank = static_cast<std::size_t>(std::count_if(prompts.begin(), prompts.end(), is_blank));
  if (blank > 0 && !arguments.any)
    fail(ErrorKind::usage,
         "reading the prompt: it is empty. Say what to make, or draw without a prompt by --any.");
  std::erase_if(prompts, is_blank);
  if (words) check_prompt_words(prompts, *words, arguments.model, arguments.any);
}

GenerationRequest request_without_prompts(const SampleArguments& arguments, sequence::Task task) {
  GenerationRequest request;
  request.task = std::move(task);
  request.allow_missing = arguments.any;
  request.images = read_images(arguments);
  for (const std::string& path : arguments.meshes) {
    request.shapes.push_back(
        generation::shape_condition(geometry::read_mesh(path), geometry::read_frame(path)));
  }
  if (!arguments.view.empty()) request.view = generation::parse_view(arguments.view);
  if (!arguments.guidance.empty()) {
    request.guidance = generation::parse_guidance(arguments.guidance);
  } else if (leads_through_a_picture(request.task)) {
    request.guidance = generation::parse_guidance(kGuidanceThroughAPicture);
  }
  request.guidance.schedule = generation::parse_guidance_schedule(arguments.guidance_schedule);
  const std::vector<double> weights = request.guidance.weights_for(request.task);
  if (request.guidance.schedule == generation::GuidanceSchedule::linear &&
      std::all_of(weights.begin(), weights.end(), [](double weight) { return weight == 1; }))
    log_warning("--guidance-schedule linear has no effect where every weight is 1. Raise --guidance");
  request.sampling = arguments.sampling;
  request.seed = arguments.seed;
  request.count = arguments.count;
  request.best_of = arguments.best_of;
  request.geometry_codes = arguments.detail;
  request.with_colour = !arguments.no_colour;
  request.first_codes = read_first_codes(arguments);
  return request;
}

GenerationRequest read_request(const SampleArguments& given) {
  SampleArguments arguments = given;
  if (!given.instruction.empty()) {
    if (!given.prompts.empty())
      fail(ErrorKind::usage,
           "reading the instruction: there is a --prompt, too. An instruction is the only text of an edit.");
    arguments.prompts = {given.instruction};
  }
  sequence::Task task = task_of(arguments);
  std::vector<std::string> prompts = arguments.prompts;
  check_prompts(prompts, model::load_bundle_words(arguments.model), arguments);
  GenerationRequest request = request_without_prompts(arguments, std::move(task));
  request.prompts = std::move(prompts);
  return request;
}

}  // namespace omni::tools
