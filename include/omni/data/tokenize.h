#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "omni/data/canonical_views.h"
#include "omni/data/object_source.h"
#include "omni/tokenizers/tokenizer_set.h"

namespace omni::data {

struct TokenizeOptions {
  std::uint64_t seed = 1;             // draws views and surface points
  std::int64_t count = 0;             // how many objects, from the first on; 0: all
  std::int64_t views_per_object = 1;  // distinct ones; needs an image tokenizer
  // What views are drawn from: every pair of these bins (geometry/camera.h).
  std::vector<int> azimuth_bins = canonical_azimuth_bins();
  std::vector<int> elevation_bins = {kCanonicalElevationBin};
  std::int64_t objects_per_shard = 4096;
  std::int64_t batch = 32;  // objects that are encoded together
  std::string source_name;  // for reports
};

struct TokenizeSummary {
  std::int64_t objects = 0, shards = 0;
  std::int64_t reused_shards = 0;  // found complete from an earlier run
  std::int64_t captions = 0;
  std::int64_t longest_caption = 0;  // tokens
  double mean_caption = 0;           // tokens
};

// Writes <folder>/shard-00000.safetensors and so on; modalities without a tokenizer are left out. What is
// written is a function of the source, the tokenizers and the options alone, on any number of threads. A
// shard that an earlier run of the same kind completed is kept; a broken one is made again. Shards appear
// whole or not at all. Uses all cores; draws from no generator but its own. Throws Error(usage) for
// impossible options and for a folder that holds shards of another kind, Error(io), Error(interrupted) after
// Ctrl-C: the shards before stay.
TokenizeSummary tokenize(const ObjectSource& source, const tokenizers::TokenizerSet& tokenizers,
                         const TokenizeOptions& options, const std::filesystem::path& folder);

}  // namespace omni::data
