#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include <cmath>
#include <iostream>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/core/system_info.h"
#include "omni/core/text_format.h"
#include "omni/evaluation/bundle_figures.h"
#include "omni/kernels/cuda_plugin.h"
#include "omni/kernels/tensor.h"
#include "omni/model/bundle.h"
#include "omni/model/public_model.h"
#include "public_info.h"

namespace omni::tools {
namespace {

std::string compiler_name() {
#if defined(__clang__)
  return std::string("clang ") + __clang_version__;
#else
  return std::string("gcc ") + __VERSION__;
#endif
}

nlohmann::ordered_json system_facts() {
  const CpuFeatures cpu = detect_cpu_features();
  nlohmann::ordered_json facts;
  facts["omni"] = OMNI_VERSION;
  facts["cpu"] = cpu_name();
  facts["threads"] = at::get_num_threads();
  facts["memory_gib"] = std::round(static_cast<double>(memory_bytes() >> 20) / 102.4) / 10;
  facts["cpu_features"] = {{"avx2", cpu.avx2},
                           {"avx512", cpu.avx512},
                           {"avx512_bf16", cpu.avx512_bf16},
                           {"amx_bf16", cpu.amx_bf16},
                           {"amx_int8", cpu.amx_int8}};
  facts["libtorch"] = TORCH_VERSION;
  facts["libraries"] = OMNI_LIBRARY_VERSIONS;
  facts["compiler"] = compiler_name();
  const kernels::CudaPluginStatus& cuda = kernels::cuda_plugin_status();
  facts["gpus"] = cuda.devices;
  facts["cuda_plugin"] = cuda.loaded ? cuda.detail : "none: " + cuda.detail;
  facts["gpu"] = kernels::gpu_refusal().empty() ? "usable" : "none: " + kernels::gpu_refusal();
  return facts;
}

void print_system(bool as_json) {
  const nlohmann::ordered_json facts = system_facts();
  if (as_json) {
    std::cout << json_text(facts, 2) << '\n';
    return;
  }
  for (const auto& [key, value] : facts.items()) {
    std::cout << key << ": " << (value.is_string() ? value.get<std::string>() : json_text(value)) << '\n';
  }
}

std::string joined(const tokenizers::WordList::Counts& counts) {
  std::string text;
  for (const auto& [word, count] : tokenizers::by_frequency(counts))
    text += concat(text.empty() ? "" : ", ", word, " (", count, ")");
  return text;
}

void print_instructions(const tokenizers::WordList& words) {
  if (!words.instructions()) return;
  if (words.instructions()->empty()) std::cout << "instructions: none; the model was not trained to edit\n";
  for (const auto& [task, wordings] : *words.instructions()) {
    std::cout << "instructions of " << task << " (with their edits):\n";
    for (const auto& [pattern, wording] : wordings)
      std::cout << "  " << pattern << " (" << wording.edits << "): " << wording.example << '\n';
  }
}

void print_what_it_saw(const tokenizers::WordList& words) {
  if (words.tasks().empty()) {
    std::cout << "tasks, views and sizes: unknown; the bundle was made before bundles kept them\n";
    return;
  }
  std::cout << "tasks (with the objects they were trained on): " << joined(words.tasks()) << '\n'
            << "views of its pictures in degrees (with the pictures): ";
  if (words.views().empty()) std::cout << "none; the model was trained without pictures";
  std::string separator;
  for (const auto& [view, pictures] : words.views()) {
    std::cout << separator << "azimuth " << view.azimuth_degrees << " elevation " << view.elevation_degrees
              << " (" << pictures << ')';
    separator = ", ";
  }
  std::cout << "\nsizes in metres, of the longest side: ";
  separator.clear();
  for (const auto& [name, range] : words.sizes()) {
    std::cout << separator << name << ' ' << with_decimals(range.smallest_m, 2);
    if (range.largest_m > range.smallest_m) std::cout << " to " << with_decimals(range.largest_m, 2);
    separator = ", ";
  }
  std::cout << '\n';
}

void print_figures(const std::string& folder) {
  const std::vector<evaluation::BundleFigure> figures = evaluation::read_bundle_figures(folder);
  if (figures.empty()) {
    std::cout << "figures: none; omni eval with keep_figures: true leaves them in the bundle\n";
    return;
  }
  std::cout << "figures (with their 95 % intervals and held-out objects):\n";
  for (const evaluation::BundleFigure& figure : figures) {
    std::cout << "  " << figure.task << ", " << figure.setting << ": " << figure.metric << ' '
              << with_decimals(figure.mean, 3) << " (" << with_decimals(figure.low, 3) << " - "
              << with_decimals(figure.high, 3) << "; " << figure.count << ")\n";
  }
}

constexpr const char *kPublicModel = "public model", *kFineTunedFrom = "fine-tuned from",
                     *kNoCaptionsKept =
                         "what it was trained on is not kept in it; `omni info model` tells its sizes\n";

// What it began as, and whether all weights or adapters were trained from there.
void print_start(const std::map<std::string, std::string>& notes) {
  for (const char* source : {kPublicModel, kFineTunedFrom, "grown from", "text stream from", "text tower"})
    if (const auto found = notes.find(source); found != notes.end())
      std::cout << found->first << ": " << found->second << '\n';
  if (const auto adapted = notes.find("lora"); adapted != notes.end())
    std::cout << "fine-tuned by low-rank adapters: " << adapted->second << '\n';
  else if (notes.contains(kFineTunedFrom))
    std::cout << "fine-tuned without low-rank adapters\n";
}

// Of an imported model, or of one that was fine-tuned and lies like one.
void print_public_training(std::map<std::string, std::string> notes) {
  notes.erase(kPublicModel);  // told with its sizes
  print_start(notes);
  std::cout
      << (notes.empty()
              ? "what it was trained on is not told by its publisher; `omni info model` tells its sizes\n"
              : kNoCaptionsKept);
}

void print_bundle(const std::string& folder) {
  refuse_weights(folder);
  if (model::is_public_folder(folder)) {
    print_public_folder(folder);
    print_public_training(model::describe_public(folder).notes);
    return;
  }
  for (const sequence::Task& task : model::load_bundle_tasks(folder))
    std::cout << "task of its own: " << task.name << '\n';
  const std::map<std::string, std::string> notes = model::load_bundle_notes(folder);
  print_start(notes);
  if (notes.contains(kPublicModel)) {  // a checkpoint of its fine-tuning
    std::cout << kNoCaptionsKept;
    return;
  }
  const std::optional<tokenizers::WordList> words = model::load_bundle_words(folder);
  if (const auto stage = notes.find("stage"); stage != notes.end() && stage->second == "init") {
    std::cout
        << "stage: init; nothing of this program's tasks is trained yet. `omni pretrain` goes on from it\n";
  } else if (words) {
    std::cout << "classes (with their objects): " << joined(words->classes()) << '\n'
              << "words (with their captions): " << joined(words->words()) << '\n';
    print_what_it_saw(*words);
    print_instructions(*words);
  } else {
    std::cout << "words: unknown; the bundle was made before bundles kept them\n";
  }
  print_figures(folder);
}

}  // namespace

void add_info_command(CLI::App& app) {
  CLI::App* info = app.add_subcommand("info", "facts about this machine, or about a model");
  info->require_subcommand(1);
  CLI::App* system = info->add_subcommand("system", "CPU features, GPUs and library versions");
  const auto as_json = std::make_shared<bool>(false);
  system->add_flag("--json", *as_json, "print JSON");
  system->callback([as_json] { print_system(*as_json); });
  CLI::App* bundle = info->add_subcommand(
      "bundle",
      "what a model was trained on (tasks, classes, words, views, sizes, instructions) and its figures");
  const auto folder = std::make_shared<std::string>();
  bundle->add_option("bundle", *folder, "a folder with tokenizers and weights, or an imported model")
      ->required();
  bundle->callback([folder] { print_bundle(*folder); });
  add_info_model_command(*info);
}

}  // namespace omni::tools
