// omni import: public models, into folders that other commands open.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "commands.h"
#include "omni/model/public_model.h"
#include "public_info.h"

namespace omni::tools {
namespace {

struct ImportArguments {
  std::string weights, config, tokenizer, text, shape_tokenizer, out;
  bool text_alone = false;

  model::PublicFiles files() const { return {weights, config, tokenizer}; }
};
constexpr const char* kWeights = "a safetensors file, an index, or a folder with one";
using Arguments = std::shared_ptr<ImportArguments>;

CLI::App* add_family(CLI::App* import, const Arguments& arguments, const std::string& name,
                     const std::string& help, const std::string& weights) {
  CLI::App* command = import->add_subcommand(name, help);
  command->add_option("weights", arguments->weights, weights)->required();
  command->add_option("--config", arguments->config,
                      "the publisher's JSON configuration; else config.json beside the weights");
  command->add_option("--out", arguments->out, "folder to write")->required();
  return command;
}

void add_tokenizer(CLI::App* command, const Arguments& arguments) {
  command->add_option("--tokenizer", arguments->tokenizer,
                      "tokenizer.json; else the one beside the weights, if there is one");
}

void print_saved(const std::string& what, const std::string& out) {
  std::printf("%s\nsaved: %s\n", what.c_str(), out.c_str());
}

}  // namespace

void add_import_command(CLI::App& app) {
  CLI::App* import = app.add_subcommand("import", "read a public model into a folder");
  import->require_subcommand(1);

  const Arguments cube3d_arguments = std::make_shared<ImportArguments>();
  CLI::App* cube3d = add_family(import, cube3d_arguments, "cube3d",
                                "Cube3D's text-to-shape GPT, v0.1 or v0.5, with the text tower that it reads",
                                "shape_gpt.safetensors, or a folder with it");
  cube3d->get_option("--config")->description("the reference's JSON configuration; else the published sizes");
  cube3d
      ->add_option(
          "--text", cube3d_arguments->text,
          "CLIP ViT-L/14 with config.json and tokenizer.json beside its weights, or as imported; or a Qwen3, on "
          "whose features the GPT is to be fine-tuned")
      ->required();
  cube3d->add_option("--shape-tokenizer", cube3d_arguments->shape_tokenizer,
                     "shape_tokenizer.safetensors; else the one in the folder, if there is one");
  cube3d->callback([a = cube3d_arguments] {
    const model::ImportedCube3d imported = model::import_cube3d(
        a->files(), {.weights = a->text, .config = {}, .tokenizer = {}}, a->shape_tokenizer, a->out);
    print_saved("shape GPT: " + millions_in(a->out) +
                    ", text tower: " + millions_in(std::filesystem::path(a->out) / "text"),
                a->out);
    if (imported.fresh_text_projection)
      std::printf(
          "the GPT has a fresh projection of texts, %lld numbers a token: fine-tune it before it is sampled\n",
          static_cast<long long>(imported.text_width));
  });

  const Arguments clip_arguments = std::make_shared<ImportArguments>();
  CLI::App* clip = add_family(import, clip_arguments, "clip", "CLIP's text and vision towers", kWeights);
  add_tokenizer(clip, clip_arguments);
  clip->add_flag("--text-alone", clip_arguments->text_alone, "without the vision tower");
  clip->callback([a = clip_arguments] {
    model::import_clip(a->files(), a->text_alone, a->out);
    print_saved("CLIP: " + millions_in(a->out), a->out);
  });

  const Arguments qwen3_arguments = std::make_shared<ImportArguments>();
  CLI::App* qwen3 = add_family(import, qwen3_arguments, "qwen3", "a dense Qwen3 language model", kWeights);
  add_tokenizer(qwen3, qwen3_arguments);
  qwen3->callback([a = qwen3_arguments] {
    model::import_qwen3(a->files(), a->out);
    print_saved("Qwen3: " + millions_in(a->out), a->out);
  });
}

}  // namespace omni::tools
