// omni tokenizer import|verify cube3d: the public shape tokenizer.
#include <cstdio>
#include <memory>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/nn/precision.h"
#include "omni/tokenizers/cube3d_tokenizer.h"
#include "shape_precision.h"

namespace omni::tools {
namespace {

struct ImportCube3dArguments {
  std::string file, out;
};

void import_cube3d(const ImportCube3dArguments& arguments) {
  const auto tokenizer = tokenizers::import_cube3d_tokenizer(arguments.file);
  tokenizer->save(arguments.out);
  const auto& config = tokenizer->network().config();
  std::printf(
      "shape tokenizer: %lld codes of %lld, width %lld, %lld + %lld layers, %.1f million parameters\n",
      static_cast<long long>(config.latents), static_cast<long long>(tokenizer->geometry_vocabulary()),
      static_cast<long long>(config.width), static_cast<long long>(config.encoder_layers),
      static_cast<long long>(config.decoder_layers),
      1e-6 * static_cast<double>(tokenizer->network().parameters().element_count()));
  std::printf("saved: %s\n", arguments.out.c_str());
}

struct VerifyCube3dArguments {
  std::string weights, config, expected, precision = "fp32";
};

void print(const tokenizers::Cube3dAgreement& agreement) {
  std::printf(
      "indices: %.4f %% equal (%lld of %lld",
      100.0 * static_cast<double>(agreement.equal_indices) / static_cast<double>(agreement.index_count),
      static_cast<long long>(agreement.equal_indices), static_cast<long long>(agreement.index_count));
  if (agreement.ties > 0)
    std::printf("; %lld more lie as near to another code", static_cast<long long>(agreement.ties));
  std::printf(")\n");
  if (agreement.first_other_index) {
    const auto& index = *agreement.first_other_index;
    std::printf(
        "  first other index: shape %lld, latent %lld: expected %lld at distance %.7g, found %lld at %.7g\n",
        static_cast<long long>(index.row), static_cast<long long>(index.latent),
        static_cast<long long>(index.expected), index.expected_distance, static_cast<long long>(index.found),
        index.found_distance);
  }
  const auto& worst = agreement.largest_error_at;
  std::printf(
      "field: largest error %.3g over %lld queries, at shape %lld, query %lld: expected %.7g, found %.7g\n",
      agreement.largest_field_error, static_cast<long long>(agreement.field_count),
      static_cast<long long>(worst.row), static_cast<long long>(worst.query), worst.expected, worst.found);
}

void verify_cube3d(const VerifyCube3dArguments& arguments) {
  const auto agreement = tokenizers::verify_cube3d_tokenizer(
      arguments.weights, arguments.config, arguments.expected, nn::precision_type(arguments.precision));
  print(agreement);
  const bool passed = agreement.indices_agree() && agreement.field_agrees();
  std::printf("%s\n", passed ? "agrees with the reference" : "DISAGREES with the reference");
  if (!passed) throw CLI::RuntimeError(kExitNo);
}

}  // namespace

void add_tokenizer_cube3d_commands(CLI::App& tokenizer) {
  CLI::App* import = tokenizer.get_subcommand("import")->add_subcommand(
      "cube3d", "Cube3D's shape tokenizer, v0.1 or v0.5, shape_tokenizer.safetensors");
  const auto import_arguments = std::make_shared<ImportCube3dArguments>();
  import->add_option("file", import_arguments->file, "the checkpoint")->required();
  import->add_option("--out", import_arguments->out, "folder to write")->required();
  import->callback([import_arguments] { import_cube3d(*import_arguments);
});

CLI::App* verify =
    tokenizer.add_subcommand("verify", "compare a public tokenizer with its reference's outputs");
verify->require_subcommand(1);
CLI::App* cube3d = verify->add_subcommand(
    "cube3d", "exits 0 if all indices are equal (or ties) and the field is within 1e-4, else 1");
const auto arguments = std::make_shared<VerifyCube3dArguments>();
cube3d->add_option("--weights", arguments->weights, "shape_tokenizer.safetensors")->required();
cube3d->add_option("--config", arguments->config, "the reference's JSON configuration")->required();
cube3d
    ->add_option("--expected", arguments->expected,
                 "safetensors with surface, queries, indices and logits of the reference")
    ->required();
add_precision_option(cube3d, arguments->precision);
cube3d->callback([arguments] { verify_cube3d(*arguments); });
}  // namespace omni::tools

}  // namespace omni::tools
