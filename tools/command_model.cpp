// omni model verify: public models beside the outputs of their reference implementations.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/model/bundle.h"
#include "omni/model/cube3d_files.h"
#include "omni/model/panel_check.h"
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

void conclude(bool holds) {
  std::printf("%s\n", holds ? "PASS" : "FAIL");
  if (!holds) throw CLI::RuntimeError(kExitNo);
}

std::string describe(const model::PanelCheck& check) {
  switch (check.state) {
    case model::PanelState::sound:
      return "as they were written";
    case model::PanelState::outdated:
      return check.reason + "; sampling makes it anew";
    case model::PanelState::damaged:
      break;
  }
  return check.reason + ". Remove the file: sampling makes it anew";
}

// Whether none of the packed files of these weights is damaged.
bool print_panels(const std::vector<model::PanelCheck>& checks) {
  for (const model::PanelCheck& check : checks)
    std::printf("packed weights %s: %s\n", check.file.c_str(), describe(check).c_str());
  return std::none_of(checks.begin(), checks.end(), [](const model::PanelCheck& check) {
    return check.state == model::PanelState::damaged;
  });
}

void judge(const model::Agreement& agreement, const std::string& weights) {
  for (const auto& values : agreement.values) print(values);
  for (const auto& tokens : agreement.sequences) print(tokens);
  const bool sound = print_panels(model::check_panels(weights));
  conclude(agreement.holds() && sound);
}

// Of a bundle, if it is one.
bool print_text_tower(const std::string& bundle) {
  const std::optional<bool> sound = model::text_tower_is_sound(bundle);
  if (!sound) return true;
  std::printf("text tower of %s: %s\n", bundle.c_str(),
              *sound ? "as it was written"
                     : "not as it was written. Copy its folder from where the bundle came from");
  return *sound;
}

void judge_panels(const std::string& weights) {
  const std::vector<model::PanelCheck> checks = model::check_panels(weights);
  if (checks.empty()) std::printf("there are no packed weights of '%s'\n", weights.c_str());
  const bool tower_is_sound = print_text_tower(weights);
  conclude(print_panels(checks) && tower_is_sound);
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
      "compare with a reference's outputs, and packed weights with their hashes: exits 0 if values are within 1e-4 and tokens equal, else 1");
  verify->require_subcommand(1);

  const auto cube3d_arguments = std::make_shared<VerifyArguments>();
  CLI::App* cube3d =
      add_family(verify, "cube3d", "logits and greedy codes of Cube3D's shape GPT", cube3d_arguments);
  cube3d->add_flag(
      "--reference-cache", cube3d_arguments->reference_cache,
      "greedy codes as the reference draws them with its cache on, whose single block sees one key alone");
  cube3d->add_option(
      "--text", cube3d_arguments->text,
      "CLIP ViT-L/14 or a Qwen3, with config.json and tokenizer.json beside its weights or as imported: its "
      "features of no text, and of the file's prompts, are compared, too");
  cube3d->callback([a = cube3d_arguments] {
    a->weights = model::published_gpt(a->weights).string();
    judge(model::verify_cube3d(a->given(),
                               {a->reference_cache, {.weights = a->text, .config = {}, .tokenizer = {}}}),
          a->weights);
  });

  const auto clip_arguments = std::make_shared<VerifyArguments>();
  CLI::App* clip = add_family(verify, "clip", "hidden states and features of CLIP's towers", clip_arguments);
  add_tokenizer(clip, clip_arguments);
  clip->callback([a = clip_arguments] { judge(model::verify_clip(a->given(), a->tokenizer), a->weights); });

  const auto qwen3_arguments = std::make_shared<VerifyArguments>();
  CLI::App* qwen3 = add_family(verify, "qwen3", "logits and greedy tokens of a Qwen3", qwen3_arguments);
  add_tokenizer(qwen3, qwen3_arguments);
  qwen3->callback(
      [a = qwen3_arguments] { judge(model::verify_qwen3(a->given(), a->tokenizer), a->weights); });

  CLI::App* panels = verify->add_subcommand(
      "panels", "every byte of the files of packed weights, and of a bundle's text tower");
  const auto packed = std::make_shared<std::string>();
  panels
      ->add_option("--weights", *packed,
                   "whose: a safetensors file, an index, a folder with one, or a bundle")
      ->required();
  panels->callback([packed] { judge_panels(*packed); });
}

}  // namespace omni::tools
