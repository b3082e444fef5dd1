// omni tokenizer: train, evaluate and import the text and image tokenizers.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <utility>

#include "commands.h"
#include "devices_option.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/progress.h"
#include "omni/core/run_lock.h"
#include "omni/training/image_tokenizer_training.h"
#include "omni/training/text_tokenizer_training.h"
#include "omni/training/tokenizer_data.h"
#include "options.h"
#include "run_options.h"
#include "source_options.h"
#include "tokenizer_config.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void train_text(TokenizerArguments arguments) {
  std::int64_t vocabulary_size = 768;
  training::TokenizerDataConfig data;
  const auto description = [&](ConfigVisitor& visitor) {
    visitor.integer("vocabulary_size", vocabulary_size, {.minimum = 256, .maximum = 1'000'000});
    visitor.section("data", [&](ConfigVisitor& section) { describe(section, data); });
  };
  read_tokenizer_config(arguments, description);
  if (arguments.dry_run) {
    std::cout << tokenizer_config_yaml(arguments, description);
    return;
  }
  const RunLock lock(arguments.out + ".lock", "training the text tokenizer '" + arguments.out + "'");
  const bool finished = fs::exists(arguments.out);
  if (finished && arguments.run.resume != training::Resume::no) {
    std::cout << "text tokenizer: the run was finished\nsaved: " << arguments.out << '\n';
    return;
  }
  goes_on({.output = arguments.out, .finished = finished, .checkpoint = {}}, arguments.run.resume);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> texts = training::training_texts(data);
  const auto tokenizer = training::train_text_tokenizer(texts, vocabulary_size);
  tokenizer.save(arguments.out);
  std::size_t bytes = 0, tokens = 0;
  for (std::size_t i = 0; i < texts.size(); i += 1 + texts.size() / 2000) {
    bytes += texts[i].size();
    tokens += tokenizer.encode(texts[i]).size();
  }
  std::cout << "text tokenizer: " << tokenizer.vocabulary_size() << " tokens from " << texts.size()
            << " texts in " << format_duration(seconds_since(start)) << ", "
            << double(bytes) / double(std::max<std::size_t>(tokens, 1))
            << " bytes a token\nsaved: " << arguments.out << '\n';
}

void train_image(TokenizerArguments arguments, const CLI::App& command) {
  training::ImageTokenizerTrainingConfig config;
  training::TokenizerDataConfig data;
  const auto description = [&](ConfigVisitor& visitor) {
    describe(visitor, config);
    visitor.section("data", [&](ConfigVisitor& section) { describe(section, data); });
  };
  read_tokenizer_config(arguments, description);
  if (arguments.dry_run) {
    std::cout << tokenizer_config_yaml(arguments, description);
    return;
  }
  if (ran_as_tokenizer_ranks(command, arguments, config.ranks.device)) return;
  std::int64_t count = 0;
  const auto images = [&] {
    const auto size = config.network.image_size;
    const std::vector<image::Image> all =
        training::training_images(data, static_cast<int>(size), /*tells=*/is_first_rank());
    count = static_cast<std::int64_t>(all.size());
    return training::stack_images(all, size);
  };
  const auto summary = training::train_image_tokenizer(config, images, arguments.out, arguments.run);
  if (!is_first_rank()) return;
  write_file_atomically(fs::path(arguments.out) / "training.yaml",
                        std::string_view(tokenizer_config_yaml(arguments, description)));
  std::cout << "image tokenizer: " << summary.steps << " steps over " << count << " images in "
            << format_duration(summary.seconds) << (summary.was_finished ? kWasFinished : "")
            << "\nsaved: " << arguments.out << '\n';
}

struct EvalImageArguments {
  std::string tokenizer, sheet;
  training::TokenizerDataConfig data;
};

void eval_image(const EvalImageArguments& arguments) {
  if (!arguments.sheet.empty()) image::require_image_file(arguments.sheet);
  const auto tokenizer = tokenizers::ImageTokenizer::load(arguments.tokenizer);
  const auto size = static_cast<int>(tokenizer->config().image_size);
  const std::vector<image::Image> images = training::training_images(arguments.data, size);
  std::vector<image::Image> reconstructions;
  const auto start = std::chrono::steady_clock::now();
  const auto quality = training::evaluate_image_tokenizer(*tokenizer, images, &reconstructions);
  std::cout << "images: " << quality.images << "\npsnr_db: " << quality.psnr_db
            << "\nworst_psnr_db: " << quality.worst_psnr_db << "\ncodes_used: " << quality.codes_used
            << " of " << tokenizer->config().codebook_size << "\ncode_perplexity: " << quality.perplexity
            << "\nmilliseconds_per_image: " << 1e3 * seconds_since(start) / double(images.size()) << '\n';
  if (arguments.sheet.empty()) return;
  std::vector<image::Image> pairs;  // a row of originals over a row of their reconstructions
  constexpr std::size_t columns = 12;
  for (std::size_t row = 0; row + columns <= std::min<std::size_t>(images.size(), 6 * columns);
       row += columns) {
    for (const std::vector<image::Image>* side : {&std::as_const(images), &std::as_const(reconstructions)})
      pairs.insert(pairs.end(), side->begin() + row, side->begin() + row + columns);
  }
  if (pairs.empty()) fail(ErrorKind::usage, "--sheet needs at least ", columns, " images");
  image::write_image(arguments.sheet, image::contact_sheet(pairs, columns));
  std::cout << "sheet: " << arguments.sheet << '\n';
}

void add_eval(CLI::App& tokenizer) {
  CLI::App* eval = tokenizer.add_subcommand("eval", "measure a tokenizer's reconstructions");
  eval->require_subcommand(1);
  CLI::App* image =
      eval->add_subcommand("image", "PSNR and code use on held-out renders or a folder of pictures");
  const auto arguments = std::make_shared<EvalImageArguments>();
  arguments->data.source.count = 300;
  arguments->data.views_per_object = 1;
  image->add_option("tokenizer", arguments->tokenizer, "folder of the image tokenizer")->required();
  arguments->data.source.split = data::Split::new_instance;
  add_source_options(*image, arguments->data.source);
  add_split_option(*image, arguments->data.source);
  add_number(*image, "--objects", arguments->data.source.count, {1, 1e6}, "objects of the split");
  add_number(*image, "--views", arguments->data.views_per_object, {1, 168}, "views of each");
  image->add_option("--folder", arguments->data.folder, "pictures in place of renders");
  image->add_option("--sheet", arguments->sheet,
                    "picture of originals over reconstructions: .png, .jpg or .webp");
  image->callback([arguments] { eval_image(*arguments); });
}

struct ImportTokenizerArguments {
  std::string file, out;
  std::int64_t image_size = 0;
};

void add_tokenizer_import(CLI::App& tokenizer) {
  CLI::App* import = tokenizer.add_subcommand("import", "read a public tokenizer");
  import->require_subcommand(1);
  CLI::App* llamagen = import->add_subcommand("llamagen", "LlamaGen's image tokenizer, .pt or .safetensors");
  const auto arguments = std::make_shared<ImportTokenizerArguments>();
  llamagen->add_option("file", arguments->file, "the checkpoint")->required();
  llamagen->add_option("--out", arguments->out, "folder to write")->required();
  add_number(*llamagen, "--image-size", arguments->image_size, {0, 2048},
             "pixels a side; 0: the 256 of its training");
  llamagen->callback([arguments] {
    const auto tokenizer =
        tokenizers::ImageTokenizer::import_llamagen(arguments->file, arguments->image_size);
    tokenizer->save(arguments->out);
    const auto& config = tokenizer->config();
    std::cout << "image tokenizer: " << config.image_size << " pixels, " << tokenizer->code_count()
              << " codes of " << config.codebook_size << "\nsaved: " << arguments->out << '\n';
  });
}

}  // namespace

void add_tokenizer_command(CLI::App& app) {
  CLI::App* tokenizer = app.add_subcommand("tokenizer", "train, measure and import tokenizers");
  tokenizer->require_subcommand(1);
  CLI::App* train = tokenizer->add_subcommand("train", "train a tokenizer");
  train->require_subcommand(1);

  CLI::App* text = train->add_subcommand("text", "byte-level BPE");
  const auto text_arguments = std::make_shared<TokenizerArguments>();
  add_tokenizer_arguments(*text, *text_arguments, "tokenizer.json to write");
  text->callback([text_arguments] { train_text(*text_arguments); });

  CLI::App* image = train->add_subcommand("image", "convolutional VQ autoencoder");
  const auto image_arguments = std::make_shared<TokenizerArguments>();
  add_tokenizer_arguments(*image, *image_arguments, "folder to write");
  add_network_arguments(*image, *image_arguments);
  image->callback([image_arguments, image] { train_image(*image_arguments, *image); });

  add_eval(*tokenizer);
  add_tokenizer_import(*tokenizer);
  add_tokenizer_codes_commands(*tokenizer);
  add_tokenizer_cube3d_commands(*tokenizer);
  add_tokenizer_train_shape_command(*train);
  add_tokenizer_eval_shape_command(*tokenizer->get_subcommand("eval"));
}

}  // namespace omni::tools
