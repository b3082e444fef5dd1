#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <memory>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/data/open_source.h"
#include "omni/data/tokenize.h"
#include "options.h"
#include "source_options.h"

namespace omni::tools {
namespace {

struct TokenizeArguments {
  std::string out;
  tokenizers::TokenizerPaths tokenizers;
  data::SourceSpec source;
  bool own_world_seed = false;
  data::TokenizeOptions options;
  std::vector<double> azimuths, elevations;  // degrees; empty: the default canonical set
};

std::vector<int> bins_of(const std::vector<double>& degrees, int bins, float (*degrees_of_bin)(int),
                         const char* name) {
  std::vector<int> found;
  for (const double wanted : degrees) {
    int match = -1;
    for (int bin = 0; bin < bins; ++bin) {
      if (std::abs(degrees_of_bin(bin) - wanted) < 0.5) match = bin;
    }
    if (match < 0) {
      fail(ErrorKind::usage, "choosing the canonical views: no ", name, " bin is at ", wanted,
           " degrees. Azimuths are multiples of 15 from 0 to 345, elevations from -30 to 60.");
    }
    if (std::find(found.begin(), found.end(), match) == found.end()) found.push_back(match);
  }
  return found;
}

void run_tokenize(TokenizeArguments arguments) {
  if (!arguments.azimuths.empty()) {
    arguments.options.azimuth_bins =
        bins_of(arguments.azimuths, geometry::kAzimuthBins, geometry::azimuth_of_bin, "azimuth");
  }
  if (!arguments.elevations.empty()) {
    arguments.options.elevation_bins =
        bins_of(arguments.elevations, geometry::kElevationBins, geometry::elevation_of_bin, "elevation");
  }
  const tokenizers::TokenizerSet set = tokenizers::TokenizerSet::load(arguments.tokenizers);
  if (!arguments.own_world_seed) arguments.source.seed = arguments.options.seed;
  arguments.source.count = arguments.options.count;
  const std::unique_ptr<data::ObjectSource> source = data::open_source(arguments.source);
  arguments.options.source_name = arguments.source.source;

  const auto start = std::chrono::steady_clock::now();
  const data::TokenizeSummary summary = data::tokenize(*source, set, arguments.options, arguments.out);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::cout << summary.objects << " objects in " << summary.shards << " shards (" << summary.reused_shards
            << " from an earlier run), " << seconds.count() << " s\n";
  if (summary.captions > 0) {
    std::cout << summary.captions << " captions of " << summary.mean_caption << " tokens on average, "
              << summary.longest_caption << " at most\n";
  }
}

}  // namespace

void add_data_tokenize_command(CLI::App& data) {
  CLI::App* command = data.add_subcommand("tokenize", "turn objects into token shards, which training reads");
  const auto arguments = std::make_shared<TokenizeArguments>();
  data::TokenizeOptions& options = arguments->options;
  const CLI::Option* world_seed = add_source_options(*command, arguments->source);
  add_split_option(*command, arguments->source);
  add_number(*command, "--seed", options.seed, kSeeds,
             "of the views and the surface points, and of the procedural world unless it has its own");
  add_number(*command, "--count", options.count, kCounts, "the first so many objects; 0: all");
  add_number(*command, "--skip", arguments->source.skip, kCounts, "leave out the first so many objects");
  add_number(*command, "--views", options.views_per_object, {1, 168},
             "images per object, of different canonical views");
  add_numbers(*command, "--azimuths", arguments->azimuths, kAzimuths,
              "degrees of the canonical views; without it 45, 135, 225 and 315; 0 is the front");
  add_numbers(*command, "--elevations", arguments->elevations, kElevations,
              "degrees of the canonical views; without it 30");
  command->add_option("--text-tokenizer", arguments->tokenizers.text, "a tokenizer.json");
  command->add_option("--image-tokenizer", arguments->tokenizers.image, "a tokenizer's folder");
  command->add_option("--shape-tokenizer", arguments->tokenizers.shape, "a tokenizer's folder");
  add_number(*command, "--shard-size", options.objects_per_shard, {1, 1 << 20}, "objects per shard");
  add_number(*command, "--batch", options.batch, {1, 4096}, "objects that are encoded together");
  command->add_option("--out", arguments->out, "folder for the shards; a run that was stopped goes on there")
      ->required();
  command->callback([arguments, world_seed] {
    arguments->own_world_seed = world_seed->count() > 0;
    run_tokenize(*arguments);
  });
}

}  // namespace omni::tools
