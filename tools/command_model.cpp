// omni model verify: public models beside the outputs of their reference implementations.
#include <cstdio>
#include <memory>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/model/verify_public.h"

namespace omni::tools {
namespace {

struct VerifyArguments {
  std::string weights, config, expected, tokenizer, text;
  bool reference_cache = false;

  model::ReferenceCase given() const { return {weights, config, expected}; }
};

void print(const model::ValueAgreement& values) {
  std::string place;
  for (const std::int64_t index : values.place) place += concat(place.empty() ? "" : ", ", index);
  std::printf(
      "%s: largest difference %.3g of %lld values, allowed %.0e; at [%s]: expected %.7g, found %.7g\n",
      values.name.c_str(), values.largest, static_cast<long long>(values.count), values.tolerance,
      place.c_str(), values.expected, values.found);
}

void print(const model::SequenceAgreement& tokens) {
  std::printf("%s: %lld of %lld tokens equal\n", tokens.name.c_str(), static_cast<long long>(tokens.equal),
              static_cast<long long>(tokens.count));
  if (!tokens.first_other) return;
  const auto& first = *tokens.first_other;
  std::printf("  the first other one: row %lld, place %lld: expected %lld, found %lld\n",
              static_cast<long long>(first.row), static_cast<long long>(first.place),
              static_cast<long long>(first.expected), static_cast<long long>(first.found));
}

void judge(const model::Agreement& agreement) {
  for (const auto& values : agreement.values) print(values);
  for (const auto& tokens : agreement.sequences) print(tokens);
  std::printf("%s\n", agreement.holds() ? "PASS" : "FAIL");
  if (!agreement.holds()) throw CLI::RuntimeError(kExitNo);
}

CLI::App* add_family(CLI::App* verify, const std::string& name, const std::string& help,
                     const std::shared_ptr<VerifyArguments>& arguments) {
  CLI::App* command = verify->add_subcommand(name, help);
  command->add_option("--weights", arguments->weights, "a safetensors file, an index, or a folder with one")
      ->required();
  command->add_option("--config", arguments->config, "the reference's JSON configuration")->required();
  command
      ->add_option("--expected", arguments->expected, "safetensors with inputs, and outputs of the reference")
      ->required();
  return command;
}

void add_tokenizer(CLI::App* command, const std::shared_ptr<VerifyArguments>& arguments) {
  command->add_option("--tokenizer", arguments->tokenizer, "tokenizer.json: its ids are compared, too");
}

}  // namespace

void add_model_command(CLI::App& app) {
  CLI::App* model = app.add_subcommand("model", "check public models");
  model->require_subcommand(1);
  CLI::App* verify = model->add_subcommand(
      "verify",
      "compare with a reference's outputs: exits 0 if values are within 1e-4 and tokens equal, else 1");
  verify->require_subcommand(1);

  const auto cube3d_arguments = std::make_shared<VerifyArguments>();
  CLI::App* cube3d =
      add_family(verify, "cube3d", "logits and greedy codes of Cube3D's shape GPT", cube3d_arguments);
  cube3d->add_flag(
      "--reference-cache", cube3d_arguments->reference_cache,
      "greedy codes as the reference draws them with its cache on, whose single block sees one key alone");
  cube3d->add_option(
      "--text", cube3d_arguments->text,
      "CLIP ViT-L/14 with config.json and tokenizer.json beside its weights: its features of no text, and "
      "of the file's prompts, are compared, too");
  cube3d->callback([a = cube3d_arguments] {
    judge(model::verify_cube3d(a->given(),
                               {a->reference_cache, {.weights = a->text, .config = {}, .tokenizer = {}}}));
  });

  const auto clip_arguments = std::make_shared<VerifyArguments>();
  CLI::App* clip = add_family(verify, "clip", "hidden states and features of CLIP's towers", clip_arguments);
  add_tokenizer(clip, clip_arguments);
  clip->callback([a = clip_arguments] { judge(model::verify_clip(a->given(), a->tokenizer)); });

  const auto qwen3_arguments = std::make_shared<VerifyArguments>();
  CLI::App* qwen3 = add_family(verify, "qwen3", "logits and greedy tokens of a Qwen3", qwen3_arguments);
  add_tokenizer(qwen3, qwen3_arguments);
  qwen3->callback([a = qwen3_arguments] { judge(model::verify_qwen3(a->given(), a->tokenizer)); });
}

}  // namespace omni::tools
