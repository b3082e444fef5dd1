// omni init: a bundle that begins as a public model, a whole Cube3D or a Qwen3 for its texts.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/text_format.h"
#include "omni/model/cube3d_files.h"
#include "omni/model/cube3d_growth.h"
#include "omni/model/public_model.h"
#include "omni/model/text_stream_start.h"
#include "options.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;

// What cannot be looked at is not there.
bool is_there(const fs::path& path) {
  std::error_code unreadable;
  return fs::exists(path, unreadable);
}

struct InitArguments {
  std::string from, weights, text, config, image, image_weights, out;
  model::Cube3dGrowth growth;
  std::int64_t text_capacity = 0;
  std::string description, text_stream, shape_tokenizer;
};

model::Cube3dFiles files_of(const InitArguments& arguments) {
  const std::optional<model::Cube3dVersion> version = model::parse_cube3d_version(arguments.from);
  if (version && !arguments.weights.empty())
    return model::find_cube3d(arguments.weights, *version, arguments.text, arguments.config);
  if (!arguments.weights.empty())
    fail(ErrorKind::usage, "--weights is for --from cube3d-v0.5 or cube3d-v0.1; '", arguments.from,
         "' is read as a folder of 'omni import cube3d'. Leave --weights out");
  if (version && !model::is_public_folder(arguments.from))
    fail(ErrorKind::usage, "growing a model: ", arguments.from,
         " is read from the files that were published. Name their folder with --weights");
  if (!arguments.text.empty() || !arguments.config.empty())
    fail(ErrorKind::usage, "--text and --config are for published files, which --weights names; '",
         arguments.from, "' was imported with its own");
  return model::imported_cube3d(arguments.from);
}

// LlamaGen's two tokenizers are called by how many pixels a side become one code.
std::unique_ptr<tokenizers::ImageTokenizer> image_tokenizer_of(const InitArguments& arguments) {
  const bool published = arguments.image == "llamagen-vq16" || arguments.image == "llamagen-vq8";
  if (!published && !arguments.image_weights.empty())
    fail(ErrorKind::usage, "--image-weights is for --image llamagen-vq16 or llamagen-vq8; '", arguments.image,
         "' is read as the folder of an image tokenizer. Leave --image-weights out");
  if (!published || (arguments.image_weights.empty() && is_there(fs::path(arguments.image) / "config.yaml")))
    return tokenizers::ImageTokenizer::load(arguments.image);
  if (arguments.image_weights.empty())
    fail(ErrorKind::usage, "growing a model: ", arguments.image,
         " is read from the file that was published. Name it with --image-weights");
  auto image = tokenizers::ImageTokenizer::import_llamagen(arguments.image_weights);
  const std::int64_t pixels = image->config().image_size / image->grid_size();
  if (pixels != (arguments.image == "llamagen-vq16" ? 16 : 8))
    fail(ErrorKind::input, "reading '", arguments.image_weights, "': a code of it is ", pixels,
         " pixels a side, so that it is not ", arguments.image, ". Name the tokenizer that it is");
  return image;
}

model::Bundle grown(const InitArguments& arguments) {
  for (const auto& [option, value] :
       {std::pair("the configuration '" + arguments.description + "'", arguments.description),
        std::pair(std::string("--shape-tokenizer"), arguments.shape_tokenizer)})
    if (!value.empty())
      fail(ErrorKind::usage, "growing a model: ", option,
           " is for --text-stream; a Cube3D has its own sizes and shapes. Leave it out");
  if (arguments.image.empty())
    fail(ErrorKind::usage,
         "growing a model: a Cube3D is grown by pictures. Name their tokenizer with --image");
  return model::grow_cube3d(files_of(arguments), image_tokenizer_of(arguments), arguments.growth);
}

model::Bundle with_text_stream(const InitArguments& arguments) {
  for (const auto& [option, value] :
       {std::pair("--weights", arguments.weights), std::pair("--text", arguments.text),
        std::pair("--config", arguments.config)})
    if (!value.empty())
      fail(ErrorKind::usage, "starting a text stream: ", option, " is for --from. Leave it out");
  if (arguments.description.empty())
    fail(ErrorKind::usage,
         "starting a text stream: of which model? Name its configuration, such as those in configs/model");
  model::ModelDescription description = model::ModelDescription::load(arguments.description);
  if (arguments.text_capacity > 0) description.layout.text_capacity = arguments.text_capacity;
  model::TextStreamStart start;
  start.seed = arguments.growth.seed;
  if (!arguments.image.empty()) start.image = image_tokenizer_of(arguments);
  if (!arguments.shape_tokenizer.empty())
    start.shape = tokenizers::load_shape_tokenizer(arguments.shape_tokenizer);
  return model::start_text_stream(
      description, {.weights = arguments.text_stream, .config = {}, .tokenizer = {}}, std::move(start));
}

void init(InitArguments& arguments) {
  if (is_there(arguments.out))
    fail(ErrorKind::usage, "growing a model: '", arguments.out,
         "' exists. Name a new folder with --out, or remove that one");
  if (arguments.from.empty() == arguments.text_stream.empty())
    fail(ErrorKind::usage,
         "growing a model: name what it begins as, with --from a Cube3D or with --text-stream a Qwen3");
  arguments.growth.text_capacity = arguments.text_capacity;
  const model::Bundle bundle = arguments.from.empty() ? with_text_stream(arguments) : grown(arguments);
  model::save_bundle(bundle, arguments.out);
  const double parameters = static_cast<double>(bundle.transformer->parameters().element_count());
  std::printf("%s million parameters, %d tokens: %lld codes a picture, %lld a shape\nsaved: %s\n",
              with_decimals(1e-6 * parameters, 1).c_str(), bundle.vocabulary().size(),
              static_cast<long long>(bundle.layout().image_codes()),
              static_cast<long long>(bundle.layout().geometry_capacity()), arguments.out.c_str());
}

}  // namespace

void add_init_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "init",
      "make a bundle of texts, pictures and shapes, to pre-train, that begins as a public Cube3D, or whose text stream "
      "begins as a public Qwen3");
  const auto arguments = std::make_shared<InitArguments>();
  command->add_option("--from", arguments->from,
                      "cube3d-v0.5, cube3d-v0.1, or a folder that 'omni import cube3d' made");
  command->add_option("model", arguments->description,
                      "with --text-stream: YAML file of the transformer, as in configs/model");
  command->add_option(
      "--text-stream", arguments->text_stream,
      "folder of a Qwen3, published or imported: its tokens, and the weights that texts start with");
  command->add_option("--shape-tokenizer", arguments->shape_tokenizer,
                      "with --text-stream: folder of a shape tokenizer; else there are no shapes");
  command->add_option("--weights", arguments->weights,
                      "folder with shape_gpt.safetensors, shape_tokenizer.safetensors and CLIP ViT-L/14");
  command->add_option("--text", arguments->text,
                      "folder of CLIP ViT-L/14; else the one in that of --weights");
  command->add_option("--config", arguments->config,
                      "the reference's JSON configuration; else the published sizes");
  command->add_option("--image", arguments->image,
                      "llamagen-vq16, llamagen-vq8, or the folder of an image tokenizer");
  command->add_option("--image-weights", arguments->image_weights,
                      "the published file of --image, .pt or .safetensors");
  add_number(
      *command, "--text-capacity", arguments->text_capacity, {0, 4096},
      "longest text in tokens; 0: the longest that the Cube3D's text tower reads, with --text-stream the "
      "configuration's");
  add_number(*command, "--seed", arguments->growth.seed, kSeeds, "of what is not read");
  command->add_option("--out", arguments->out, "bundle to write; a new folder")->required();
  command->callback([arguments] { init(*arguments); });
}

}  // namespace omni::tools
