// omni init: a bundle of texts, pictures and shapes that begins as a public model.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/text_format.h"
#include "omni/model/cube3d_files.h"
#include "omni/model/cube3d_growth.h"
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
};

model::Cube3dFiles files_of(const InitArguments& arguments) {
  const std::optional<model::Cube3dVersion> version = model::parse_cube3d_version(arguments.from);
  if (version && !arguments.weights.empty())
    return model::find_cube3d(arguments.weights, *version, arguments.text, arguments.config);
  if (!arguments.weights.empty())
    fail(ErrorKind::usage, "--weights is for --from cube3d-v0.5 or cube3d-v0.1; '", arguments.from,
         "' is read as a folder of 'omni import cube3d'. Leave --weights out");
  if (version && !is_there(fs::path(arguments.from) / "public.yaml"))
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

void init(const InitArguments& arguments) {
  if (is_there(arguments.out))
    fail(ErrorKind::usage, "growing a model: '", arguments.out,
         "' exists. Name a new folder with --out, or remove that one");
  const model::Bundle bundle =
      model::grow_cube3d(files_of(arguments), image_tokenizer_of(arguments), arguments.growth);
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
      "init", "grow a public Cube3D into a bundle of texts, pictures and shapes, to pre-train");
  const auto arguments = std::make_shared<InitArguments>();
  command
      ->add_option("--from", arguments->from,
                   "cube3d-v0.5, cube3d-v0.1, or a folder that 'omni import cube3d' made")
      ->required();
  command->add_option("--weights", arguments->weights,
                      "folder with shape_gpt.safetensors, shape_tokenizer.safetensors and CLIP ViT-L/14");
  command->add_option("--text", arguments->text,
                      "folder of CLIP ViT-L/14; else the one in that of --weights");
  command->add_option("--config", arguments->config,
                      "the reference's JSON configuration; else the published sizes");
  command
      ->add_option("--image", arguments->image,
                   "llamagen-vq16, llamagen-vq8, or the folder of an image tokenizer")
      ->required();
  command->add_option("--image-weights", arguments->image_weights,
                      "the published file of --image, .pt or .safetensors");
  add_number(*command, "--text-capacity", arguments->growth.text_capacity, {1, 4096},
             "longest text in tokens");
  add_number(*command, "--seed", arguments->growth.seed, kSeeds, "of the rows of new tokens");
  command->add_option("--out", arguments->out, "bundle to write; a new folder")->required();
  command->callback([arguments] { init(*arguments); });
}

}  // namespace omni::tools
