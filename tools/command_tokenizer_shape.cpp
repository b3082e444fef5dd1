// omni tokenizer train|eval|encode|decode shape.
#include <algorithm>
#include <iostream>
#include <memory>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/progress.h"
#include "omni/data/data_set.h"
#include "omni/data/procedural_world.h"
#include "omni/geometry/iso_surface.h"
#include "omni/geometry/mesh_field.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/renderer.h"
#include "omni/tokenizers/shape_sample.h"
#include "omni/training/shape_tokenizer_training.h"

namespace omni::tools {
namespace {

constexpr int kThumbnail = 128;  // pixels a side, in contact sheets

std::unique_ptr<data::ObjectSource> open_source(const std::string& folder, std::uint64_t world_seed,
                                                data::Split split) {
  if (folder.empty())
    return std::make_unique<data::ProceduralSource>(
        data::ProceduralOptions{.seed = world_seed, .split = split});
  return std::make_unique<data::FolderSource>(folder, split);
}

geometry::Mesh mesh_of(const tokenizers::DecodedShape& shape, int resolution) {
  auto mesh = geometry::extract_iso_surface([&](std::span<const geometry::Vec3> points,
                                                std::span<float> values) { shape.values(points, values); },
                                            {.resolution = resolution})
                  .mesh;
  if (!shape.has_colour()) return mesh;
  mesh.colours.resize(mesh.positions.size());
  shape.colour(mesh.positions, mesh.colours);
  return mesh;
}

struct TrainArguments {
  std::string config, out, data;
  std::vector<std::string> overrides;
  std::int64_t seed = -1;
  std::uint64_t world_seed = 1;
  bool dry_run = false;
};

void train_shape(const TrainArguments& arguments) {
  training::ShapeTokenizerTrainingConfig config;
  const auto description = [&](ConfigVisitor& visitor) { training::describe(visitor, config); };
  const ConfigFile file = arguments.config.empty() ? ConfigFile::parse("", "defaults", arguments.overrides)
                                                   : ConfigFile::load(arguments.config, arguments.overrides);
  file.read(description);
  if (arguments.seed >= 0) config.seed = arguments.seed;
  training::validate(config);
  if (arguments.dry_run) {
    std::cout << config_to_yaml(description);
    return;
  }
  const auto train = open_source(arguments.data, arguments.world_seed, data::Split::train);
  const auto held_out = open_source(arguments.data, arguments.world_seed, data::Split::new_instance);
  const auto summary = training::train_shape_tokenizer(config, *train, *held_out, arguments.out);
  write_file_atomically(std::filesystem::path(arguments.out) / "training.yaml",
                        std::string_view(config_to_yaml(description)));
  std::cout << "shape tokenizer: " << summary.steps << " steps in " << format_duration(summary.seconds)
            << '\n'
            << training::to_text(summary.report) << "saved: " << arguments.out << '\n';
}

void add_train(CLI::App& train) {
  CLI::App* shape =
      train.add_subcommand("shape", "grid or vecset autoencoder with geometry and colour codes");
  const auto arguments = std::make_shared<TrainArguments>();
  shape->add_option("--config", arguments->config, "YAML file; without it, the defaults");
  shape->add_option("--out", arguments->out, "folder to write")->required();
  shape->add_option("--seed", arguments->seed, "overrides the config's seed")->check(CLI::NonNegativeNumber);
  shape->add_option("--data", arguments->data, "a data set's folder; without it, the procedural world");
  shape->add_option("--world-seed", arguments->world_seed, "decides which objects of the world are held out")
      ->capture_default_str();
  shape->add_option("--set", arguments->overrides, "override a key: --set minutes=5")
      ->take_all()
      ->expected(1);
  shape->add_flag("--dry-run", arguments->dry_run, "print the resolved config and stop");
  shape->callback([arguments] { train_shape(*arguments); });
}

struct EvalArguments {
  std::string tokenizer, data, split = "new_instance", sheet;
  std::int64_t objects = 128, pairs = 24;
  std::uint64_t seed = 1, world_seed = 1;
};

// Rows of pairs: the original, then its reconstruction.
void write_sheet(const tokenizers::ShapeTokenizer& tokenizer, const data::ObjectSource& source,
                 const EvalArguments& arguments) {
  constexpr int kColumns = 8;
  const geometry::Camera camera{.azimuth_degrees = 30, .elevation_degrees = 30};
  const geometry::RenderOptions options{.width = kThumbnail, .height = kThumbnail};
  std::vector<image::Image> images;
  CounterRng rng(arguments.seed, hash_string("contact sheet"));
  for (std::int64_t i = 0; i < std::min(arguments.pairs, source.size()); ++i) {
    const auto record =
        source.load(static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(source.size()))));
    const auto sample =
        data::make_shape_sample(record, tokenizer.required_input(), CounterRng(arguments.seed, i));
    const auto decoded = tokenizer.decode(tokenizer.encode(std::span(&sample, 1)));
    images.push_back(geometry::Renderer(record.mesh).render(camera, options));
    images.push_back(geometry::Renderer(mesh_of(*decoded[0], 64)).render(camera, options));
  }
  image::write_png(arguments.sheet, image::contact_sheet(images, kColumns));
  std::cout << "sheet: " << arguments.sheet << '\n';
}

void add_eval(CLI::App& eval) {
  CLI::App* shape = eval.add_subcommand("shape", "volume IoU, part colours and code use on held-out objects");
  const auto arguments = std::make_shared<EvalArguments>();
  shape->add_option("tokenizer", arguments->tokenizer, "folder of the shape tokenizer")->required();
  shape->add_option("--data", arguments->data, "a data set's folder; without it, the procedural world");
  shape->add_option("--split", arguments->split, "split to measure")->capture_default_str();
  shape->add_option("--objects", arguments->objects, "objects of the split")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  shape->add_option("--seed", arguments->seed, "which objects")->capture_default_str();
  shape->add_option("--world-seed", arguments->world_seed, "of the procedural world")->capture_default_str();
  shape->add_option("--sheet", arguments->sheet, "PNG with originals beside reconstructions");
  shape->add_option("--pairs", arguments->pairs, "pairs on the sheet")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  shape->callback([arguments] {
    const auto tokenizer = tokenizers::load_shape_tokenizer(arguments->tokenizer);
    const auto source =
        open_source(arguments->data, arguments->world_seed, data::parse_split(arguments->split));
    std::cout << training::to_text(
        training::evaluate_shape_tokenizer(*tokenizer, *source, arguments->objects, arguments->seed));
    if (!arguments->sheet.empty()) write_sheet(*tokenizer, *source, *arguments);
  });
}

// A codes file is YAML with two lists, `geometry` and `colour`.
void describe_codes(ConfigVisitor& visitor, std::vector<std::int64_t>& geometry,
                    std::vector<std::int64_t>& colour) {
  constexpr NumberRange kCodes{.minimum = 0, .maximum = 2147483647};
  visitor.integers("geometry", geometry, kCodes);
  visitor.integers("colour", colour, kCodes);
}

struct CodeArguments {
  std::string tokenizer, input, out;
  int resolution = 64;
  std::uint64_t seed = 1;
};

void encode_shape(const CodeArguments& arguments) {
  const auto tokenizer = tokenizers::load_shape_tokenizer(arguments.tokenizer);
  geometry::Mesh mesh = geometry::read_mesh(arguments.input);
  geometry::normalise(mesh);
  const geometry::MeshField field(mesh);
  const auto sample =
      tokenizers::make_shape_sample(mesh, field, tokenizer->required_input(), CounterRng(arguments.seed));
  const auto codes = tokenizer->encode(std::span(&sample, 1));
  std::vector<std::int64_t> geometry(codes[0].geometry.begin(), codes[0].geometry.end());
  std::vector<std::int64_t> colour(codes[0].colour.begin(), codes[0].colour.end());
  const auto text =
      config_to_yaml([&](ConfigVisitor& visitor) { describe_codes(visitor, geometry, colour); });
  if (arguments.out.empty())
    std::cout << text;
  else
    write_file_atomically(arguments.out, std::string_view(text));
}

void decode_shape(const CodeArguments& arguments) {
  const auto tokenizer = tokenizers::load_shape_tokenizer(arguments.tokenizer);
  std::vector<std::int64_t> geometry, colour;
  ConfigFile::load(arguments.input).read([&](ConfigVisitor& visitor) {
    describe_codes(visitor, geometry, colour);
  });
  tokenizers::ShapeCodes codes;
  codes.geometry.assign(geometry.begin(), geometry.end());
  codes.colour.assign(colour.begin(), colour.end());
  const auto decoded = tokenizer->decode(std::span(&codes, 1));
  const auto mesh = mesh_of(*decoded[0], arguments.resolution);
  if (mesh.triangles.empty())
    fail(ErrorKind::input, "decoding ", arguments.input,
         ": the codes describe an empty shape. Nothing is written");
  geometry::write_mesh(arguments.out, mesh);
  std::cout << "mesh: " << mesh.triangles.size() << " triangles\nsaved: " << arguments.out << '\n';
}

void add_codes(CLI::App& tokenizer) {
  const auto add = [&](const char* name, const char* help) {
    CLI::App* command = tokenizer.add_subcommand(name, help);
    command->require_subcommand(1);
    return command;
  };
  const auto encode_arguments = std::make_shared<CodeArguments>();
  CLI::App* encode =
      add("encode", "a file to codes")->add_subcommand("shape", "a mesh file to a YAML file of codes");
  encode->add_option("tokenizer", encode_arguments->tokenizer, "folder of the shape tokenizer")->required();
  encode->add_option("mesh", encode_arguments->input, "GLB, glTF, OBJ, PLY or STL")->required();
  encode->add_option("--out", encode_arguments->out, "codes file; without it, standard output");
  encode->add_option("--seed", encode_arguments->seed, "of the surface points")->capture_default_str();
  encode->callback([encode_arguments] { encode_shape(*encode_arguments); });

  const auto decode_arguments = std::make_shared<CodeArguments>();
  CLI::App* decode =
      add("decode", "codes to a file")->add_subcommand("shape", "a YAML file of codes to a mesh file");
  decode->add_option("tokenizer", decode_arguments->tokenizer, "folder of the shape tokenizer")->required();
  decode->add_option("codes", decode_arguments->input, "codes file")->required();
  decode->add_option("--out", decode_arguments->out, "mesh to write: .glb, .obj, .ply or .stl")->required();
  decode->add_option("--resolution", decode_arguments->resolution, "mesh cells per axis")
      ->check(CLI::Range(8, 512))
      ->capture_default_str();
  decode->callback([decode_arguments] { decode_shape(*decode_arguments); });
}

}  // namespace

void add_tokenizer_shape_commands(CLI::App& tokenizer, CLI::App& train) {
  add_train(train);
  add_eval(*tokenizer.get_subcommand("eval"));
  add_codes(tokenizer);
}

}  // namespace omni::tools
