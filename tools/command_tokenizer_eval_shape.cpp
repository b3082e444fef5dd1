// omni tokenizer eval shape: figures over a data set, or a table and a picture sheet of single objects.
#include <iostream>
#include <memory>

#include "commands.h"
#include "omni/data/open_source.h"
#include "omni/evaluation/shape_tokenizer_table.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/nn/precision.h"
#include "omni/tokenizers/tokenizer_set.h"
#include "omni/training/shape_tokenizer_training.h"
#include "options.h"
#include "shape_precision.h"
#include "source_options.h"

namespace omni::tools {
namespace {

struct EvalShapeArguments {
  std::string tokenizer, out, precision = "fp32";
  data::SourceSpec source{.split = data::Split::new_instance};
  std::int64_t objects = 128, pictures = 24;
  std::uint64_t seed = 1;
};

void write_table(const tokenizers::TokenizerSet& set, const data::ObjectSource& source,
                 const EvalShapeArguments& arguments) {
  const auto table =
      evaluation::measure_shape_tokenizer(*set.shape(), source,
                                          {.out = arguments.out,
                                           .objects = arguments.objects,
                                           .pictures = arguments.pictures,
                                           .seed = arguments.seed,
                                           .tokenizer_fingerprint = set.format().shape.tokenizer,
                                           .precision = arguments.precision});
  std::cout << evaluation::to_text(table.figures) << table.objects << " objects, " << table.skipped
            << " skipped\nsaved: " << arguments.out << '\n';
}

void eval_shape(const EvalShapeArguments& arguments) {
  kernels::keep_freed_memory();
  tokenizers::TokenizerSet set = tokenizers::TokenizerSet::load({.shape = arguments.tokenizer});
  set.shape()->compute_in(nn::precision_type(arguments.precision));
  const auto source = data::open_source(arguments.source);
  if (!arguments.out.empty()) return write_table(set, *source, arguments);
  std::cout << training::to_text(
      training::evaluate_shape_tokenizer(*set.shape(), *source, arguments.objects, arguments.seed));
}

}  // namespace

void add_tokenizer_eval_shape_command(CLI::App& eval) {
  CLI::App* shape = eval.add_subcommand(
      "shape", "volume IoU, part colours and code use on held-out objects; with --out a table and pictures");
  const auto arguments = std::make_shared<EvalShapeArguments>();
  shape->add_option("tokenizer", arguments->tokenizer, "folder of the shape tokenizer")->required();
  add_source_options(*shape, arguments->source, ",--meshes");
  add_split_option(*shape, arguments->source);
  add_number(*shape, "--objects", arguments->objects, {1, 1e6}, "objects of the split");
  add_number(*shape, "--seed", arguments->seed, kSeeds, "which objects, and their surface points");
  shape->add_option(
      "--out", arguments->out,
      "folder for reconstructions.csv (a row per object and number of codes), report.html (error and "
      "perplexity against the number of codes), codes/, results.jsonl (goes on where it stopped) and "
      "sheet.png (each original beside a few numbers of its codes)");
  add_number(*shape, "--pictures", arguments->pictures, {0, 1024}, "objects on the sheet");
  add_precision_option(shape, arguments->precision);
  shape->callback([arguments] { eval_shape(*arguments); });
}

}  // namespace omni::tools
