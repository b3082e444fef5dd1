// omni tokenizer encode|decode shape: meshes to codes and back, one file or a whole folder.
#include <chrono>
#include <filesystem>
#include <functional>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/progress.h"
#include "omni/generation/mesh_export.h"
#include "omni/geometry/mesh_field.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/mesh_frame.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/nn/precision.h"
#include "omni/tokenizers/shape_codes_file.h"
#include "omni/tokenizers/shape_sample.h"
#include "options.h"
#include "shape_precision.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;

struct CodeArguments {
  std::string tokenizer, input, out, format, precision = "fp32";
  int resolution = 0;
  std::uint64_t seed = 1;
};

// One input and the file that it becomes; `name` is the input's path below the folder.
struct Conversion {
  fs::path input, output;
  std::string name;
};

// What of `folder` is wanted (`what`, in words), with outputs of the same names under `out`.
std::vector<Conversion> conversions(const fs::path& folder, const fs::path& out, const std::string& extension,
                                    const std::function<bool(const fs::path&)>& wanted, const char* what) {
  std::vector<Conversion> found;
  for (const fs::path& file : files_below(folder)) {
    if (!wanted(file)) continue;
    const fs::path relative = file.lexically_relative(folder);
    found.push_back({file, out / fs::path(relative).replace_extension(extension), relative.string()});
  }
  if (found.empty())
    fail(ErrorKind::input, "reading the folder ", folder, ": it holds no ", what, ". Give one that does");
  std::map<fs::path, std::string> sources;
  for (const Conversion& conversion : found) {
    const auto [other, is_new] = sources.emplace(conversion.output, conversion.name);
    if (!is_new)
      fail(ErrorKind::usage, "naming the outputs for ", folder, ": ", other->second, " and ", conversion.name,
           " would both become ", conversion.output, ". Rename one of them");
  }
  return found;
}

// Converts one after the other, then prints a row for each. What is there already stays; what cannot be read
// is listed and skipped, and told in the end by Error(input).
void convert_all(const std::vector<Conversion>& all, const char* title,
                 const std::function<std::string(const Conversion&)>& convert) {
  auto progress = std::make_unique<Progress>(title, static_cast<std::int64_t>(all.size()), "files");
  std::size_t failed = 0, kept = 0;
  std::ostringstream rows;
  for (const Conversion& conversion : all) {
    throw_if_interrupted();
    const auto start = std::chrono::steady_clock::now();
    std::string result;
    if (fs::exists(conversion.output)) {
      result = "there already";
      ++kept;
    } else {
      try {
        fs::create_directories(conversion.output.parent_path());
        result = convert(conversion);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::input) throw;
        result = concat("skipped: ", error.what());
        ++failed;
      }
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    rows << std::left << std::setw(40) << conversion.name << std::right << std::setw(9) << std::fixed
         << std::setprecision(3) << seconds << " s  " << result << '\n';
    progress->advance();
  }
  progress.reset();
  std::cout << rows.str() << all.size() << " files: " << all.size() - kept - failed << " converted, " << kept
            << " there already, " << failed << " skipped\n";
  if (failed > 0)
    fail(ErrorKind::input, title, ": ", failed, " of ", all.size(),
         " files cannot be read; the rows above name them. Mend or remove them");
}

std::unique_ptr<tokenizers::ShapeTokenizer> load(const CodeArguments& arguments) {
  kernels::keep_freed_memory();
  auto tokenizer = tokenizers::load_shape_tokenizer(arguments.tokenizer);
  tokenizer->compute_in(nn::precision_type(arguments.precision));
  return tokenizer;
}

tokenizers::ShapeCodes encode_mesh(const tokenizers::ShapeTokenizer& tokenizer, const fs::path& path,
                                   std::uint64_t seed) {
  geometry::Mesh mesh = geometry::read_mesh(path);
  geometry::normalise(mesh, geometry::read_frame(path));
  const geometry::MeshField field(mesh);
  const auto sample =
      tokenizers::make_shape_sample(mesh, field, tokenizer.required_input(), CounterRng(seed));
  return tokenizer.encode(std::span(&sample, 1))[0];
}

void encode_shapes(const CodeArguments& arguments) {
  const auto tokenizer = load(arguments);
  if (!fs::is_directory(arguments.input)) {
    const auto codes = encode_mesh(*tokenizer, arguments.input, arguments.seed);
    if (arguments.out.empty())
      std::cout << tokenizers::shape_codes_yaml(codes);
    else
      tokenizers::write_shape_codes(arguments.out, codes);
    return;
  }
  if (arguments.out.empty())
    fail(ErrorKind::usage, "encoding a folder: --out names no folder. Add --out codes/");
  const auto all =
      conversions(arguments.input, arguments.out, "." + arguments.format, geometry::is_mesh_file, "mesh");
  convert_all(all, "encoding shapes", [&](const Conversion& conversion) {
    const auto codes = encode_mesh(*tokenizer, conversion.input, arguments.seed);
    tokenizers::write_shape_codes(conversion.output, codes);
    return concat(codes.geometry.size(), " geometry and ", codes.colour.size(), " colour codes");
  });
}

std::size_t decode_mesh(const tokenizers::ShapeTokenizer& tokenizer, const fs::path& input,
                        const fs::path& out, int resolution) {
  const tokenizers::StoredShape shape = tokenizers::read_stored_shape(input);
  std::vector<std::unique_ptr<tokenizers::DecodedShape>> decoded;
  try {
    decoded = tokenizer.decode(std::span(&shape.codes, 1));
  } catch (const Error& error) {
    fail(ErrorKind::input, "decoding ", input, ": ", error.what());
  }
  generation::ExtractedMesh extracted = generation::extract_mesh(
      *decoded[0],
      {.resolution = resolution > 0 ? resolution : generation::default_mesh_resolution(tokenizer)});
  if (extracted.empty())
    fail(ErrorKind::input, "decoding ", input, ": the codes describe an empty shape. Nothing is written");
  generation::stand_on_ground(extracted);
  if (shape.longest_side_m) generation::scale_to_metres(extracted, *shape.longest_side_m);
  write_file_atomically(out, generation::encode_file(extracted, out));
  return extracted.mesh.triangles.size();
}

void decode_shapes(const CodeArguments& arguments) {
  const auto tokenizer = load(arguments);
  if (!fs::is_directory(arguments.input)) {
    const auto triangles = decode_mesh(*tokenizer, arguments.input, arguments.out, arguments.resolution);
    std::cout << "mesh: " << triangles << " triangles\nsaved: " << arguments.out << '\n';
    return;
  }
  const auto is_codes_file = [](const fs::path& path) {
    return path.extension() == ".yaml" || path.extension() == ".json" ||
           (path.extension() == ".npy" && path.stem().extension() != ".colour");
  };
  const auto all = conversions(arguments.input, arguments.out, "." + arguments.format, is_codes_file,
                               "file of codes (.yaml, .npy, .json)");
  convert_all(all, "decoding shapes", [&](const Conversion& conversion) {
    return concat(decode_mesh(*tokenizer, conversion.input, conversion.output, arguments.resolution),
                  " triangles");
  });
}

CLI::App* add_shape_command(CLI::App& tokenizer, const char* name, const char* help, const char* shape_help) {
  CLI::App* command = tokenizer.add_subcommand(name, help);
  command->require_subcommand(1);
  return command->add_subcommand("shape", shape_help);
}

}  // namespace

void add_tokenizer_codes_commands(CLI::App& tokenizer) {
  const auto encode_arguments = std::make_shared<CodeArguments>();
  encode_arguments->format = "yaml";
  CLI::App* encode = add_shape_command(tokenizer, "encode", "files to codes",
                                       "a mesh file, or every one below a folder, to files of codes");
  encode->add_option("tokenizer", encode_arguments->tokenizer, "folder of the shape tokenizer")->required();
  encode->add_option("mesh", encode_arguments->input, "GLB, glTF, OBJ, PLY or STL, or a folder")->required();
  encode->add_option("--out", encode_arguments->out,
                     ".yaml, .npy or .json file, or a folder; without it, YAML on standard output");
  add_choice(*encode, "--format", encode_arguments->format, {"yaml", "npy", "json"}, "of a folder's files");
  add_number(*encode, "--seed", encode_arguments->seed, kSeeds, "of the surface points");
  add_precision_option(encode, encode_arguments->precision);
  encode->callback([encode_arguments] { encode_shapes(*encode_arguments); });

  const auto decode_arguments = std::make_shared<CodeArguments>();
  decode_arguments->format = "glb";
  CLI::App* decode = add_shape_command(tokenizer, "decode", "codes to files",
                                       "a file of codes, or every one below a folder, to mesh files");
  decode->add_option("tokenizer", decode_arguments->tokenizer, "folder of the shape tokenizer")->required();
  decode->add_option("codes", decode_arguments->input, ".yaml, .npy or .json file, or a folder")->required();
  decode->add_option("--out", decode_arguments->out, "mesh to write (.glb, .obj, .ply, .stl), or a folder")
      ->required();
  add_choice(*decode, "--format", decode_arguments->format, {"glb", "obj", "ply", "stl"},
             "of a folder's meshes");
  add_number(*decode, "--resolution", decode_arguments->resolution, {0, 512},
             "mesh cells per axis; 0: what suits the tokenizer");
  add_precision_option(decode, decode_arguments->precision);
  decode->callback([decode_arguments] { decode_shapes(*decode_arguments); });
}

}  // namespace omni::tools
