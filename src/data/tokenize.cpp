#include "omni/data/tokenize.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/core/parallel.h"
#include "omni/core/progress.h"
#include "omni/core/random.h"
#include "omni/core/shuffle.h"
#include "omni/data/edit_instructions.h"
#include "omni/data/shape_sample.h"
#include "omni/data/token_shard.h"
#include "omni/geometry/renderer.h"
#include "omni/kernels/tensor.h"
#include "omni/kernels/thread_count.h"
#include "omni/sequence/vocabulary.h"
#include "omni/tokenizers/caption_text.h"

namespace omni::data {
namespace {

// Raised by hand when other captions or attributes of an object are stored, or otherwise than before: shards
// of an earlier version are no part of the same set. 1: brief captions, and all in lower case. 2: colours of
// parts among the attributes.
constexpr std::uint64_t kWordsVersion = 2;

using tokenizers::TokenizerSet;

TokenShardInfo describe_shards(const ObjectSource& source, const TokenizerSet& set,
                               const TokenizeOptions& options) {
  TokenShardInfo info{
      .tokens = set.format(), .source_name = options.source_name, .variation = source.variation()};
  if (set.image() != nullptr) info.views_per_object = options.views_per_object;
  std::uint64_t hash = source.fingerprint();
  if (set.text() != nullptr) hash = hash_combine(hash, kWordsVersion);
  const auto add = [&](std::int64_t value) { hash = hash_combine(hash, static_cast<std::uint64_t>(value)); };
  add(static_cast<std::int64_t>(options.seed));
  add(options.count);
  add(options.objects_per_shard);
  for (const int bin : options.azimuth_bins) add(bin);
  for (const int bin : options.elevation_bins) add(1000 + bin);
  info.source = hash;
  return info;
}

void check_options(const ObjectSource& source, const TokenizerSet& set, const TokenizeOptions& options) {
  const auto require = [](bool holds, const auto&... reason) {
    if (!holds) fail(ErrorKind::usage, "tokenising: ", reason..., ".");
  };
  require(set.text() != nullptr || set.image() != nullptr || set.shape() != nullptr,
          "no tokenizer is given. Give a text, an image or a shape tokenizer");
  require(options.count >= 0 && options.count <= source.size(), options.count,
          " objects are asked for, but there are ", source.size());
  require(source.size() > 0, "the source has no objects");
  require(options.objects_per_shard > 0 && options.objects_per_shard <= (1 << 20),
          "a shard holds 1 to 1,048,576 objects");
  require(options.batch > 0 && options.batch <= 4096, "a batch holds 1 to 4,096 objects");
  const auto in_range = [](const std::vector<int>& bins, int size) {
    return std::all_of(bins.begin(), bins.end(), [&](int bin) { return bin >= 0 && bin < size; });
  };
  require(in_range(options.azimuth_bins, geometry::kAzimuthBins) &&
              in_range(options.elevation_bins, geometry::kElevationBins),
          "a canonical view is outside its bins");
  const auto canonical =
      static_cast<std::int64_t>(options.azimuth_bins.size() * options.elevation_bins.size());
  if (set.image() != nullptr) {
    require(options.views_per_object >= 1 && options.views_per_object <= canonical, options.views_per_object,
            " views per object are asked for; the canonical set has ", canonical);
  }
}

struct ViewBins {
  int azimuth, elevation;
};

// The first so many of a random order of the canonical views.
std::vector<ViewBins> draw_views(const TokenizeOptions& options, std::int64_t object) {
  std::vector<ViewBins> views;
  for (const int azimuth : options.azimuth_bins) {
    for (const int elevation : options.elevation_bins) views.push_back({azimuth, elevation});
  }
  CounterRng rng(hash_combine(options.seed, hash_string("views")), static_cast<std::uint64_t>(object));
  const auto wanted = static_cast<std::size_t>(options.views_per_object);
  shuffle_first(std::span(views), wanted, rng);
  views.resize(wanted);
  return views;
}

void fill_from_record(TokenObject& object, const ObjectRecord& record, const TokenizerSet& set) {
  object.id = record.id;
  object.class_name = record.class_name;
  object.attributes = attributes_with_colours(record);
  object.split = record.split;
  if (set.text() != nullptr) {
    for (const Caption& caption : record.captions) {
      if (!caption.text.empty() && caption.kind != CaptionKind::reworded)
        object.captions.push_back({tokenizers::encode_caption(*set.text(), caption.text), caption.kind});
    }
  }
  object.size = sequence::size_bin(record.longest_side_m);
  const geometry::Vec3 extent = record.mesh.bounds().extent();
  for (std::size_t axis = 0; axis < 3; ++axis) {
    object.box[axis] = sequence::box_bin(extent[axis] / geometry::kNormalisedLongestSide);
  }
}

// Objects first .. first + objects.size() of the source.
void tokenize_batch(const ObjectSource& source, const TokenizerSet& set, const TokenizeOptions& options,
                    std::int64_t first, std::span<TokenObject> objects) {
  at::init_num_threads();  // the limit above is per thread
  const c10::InferenceMode inference;
  std::vector<image::Image> images;
  std::vector<tokenizers::ShapeSample> samples;
  geometry::RenderOptions render;
  if (set.image() != nullptr)
    render.width = render.height = static_cast<int>(set.image()->config().image_size);
  for (std::size_t i = 0; i < objects.size(); ++i) {
    throw_if_interrupted();
    const std::int64_t index = first + static_cast<std::int64_t>(i);
    const ObjectRecord record = source.load(index);
    fill_from_record(objects[i], record, set);
    if (set.image() != nullptr) {
      const geometry::Renderer renderer(record.mesh);
      for (const ViewBins view : draw_views(options, index)) {
        const geometry::Camera camera{.azimuth_degrees = geometry::azimuth_of_bin(view.azimuth),
                                      .elevation_degrees = geometry::elevation_of_bin(view.elevation)};
        images.push_back(renderer.render(camera, render));
        objects[i].views.push_back({view.azimuth, view.elevation, {}});
      }
    }
    if (set.shape() != nullptr) {
      const CounterRng rng(hash_combine(options.seed, hash_string("surface")),
                           static_cast<std::uint64_t>(index));
      samples.push_back(make_shape_sample(record, set.shape()->required_input(), rng));
    }
  }
  if (set.shape() != nullptr) {
    std::vector<tokenizers::ShapeCodes> codes = set.shape()->encode(samples);
    for (std::size_t i = 0; i < objects.size(); ++i) {
      objects[i].geometry = std::move(codes[i].geometry);
      objects[i].colour = std::move(codes[i].colour);
    }
  }
  if (set.image() != nullptr) {
    std::vector<std::vector<std::int32_t>> codes = set.image()->encode(images);
    std::size_t next = 0;
    for (TokenObject& object : objects) {
      for (TokenObject::View& view : object.views) view.codes = std::move(codes[next++]);
    }
  }
}

std::filesystem::path shard_path(const std::filesystem::path& folder, std::int64_t number) {
  char name[40];
  std::snprintf(name, sizeof(name), "shard-%05lld.safetensors", static_cast<long long>(number));
  return folder / name;
}

// Whether an earlier run made this shard. Throws Error(usage) for one of another kind.
bool is_complete(const std::filesystem::path& path, const TokenShardInfo& info, std::int64_t objects) {
  if (!std::filesystem::exists(path)) return false;
  try {
    const TokenShard shard(path);
    if (shard.info() == info && shard.size() == objects) return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    log_warning(error.what(), " It is made again now.");
    return false;
  }
  fail(ErrorKind::usage, "tokenising into ", path.parent_path(), ": ", path.filename(),
       " holds other objects, or the same by other tokenizers or options. Choose another folder, or delete "
       "it.");
}

void refuse_left_over_shards(const std::filesystem::path& folder, std::int64_t shards) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    bool ours = false;
    for (std::int64_t i = 0; i < shards && !ours; ++i) ours = entry.path() == shard_path(folder, i);
    if (!ours) {
      fail(ErrorKind::usage, "tokenising into ", folder, ": it holds ", entry.path().filename(),
           ", which is no part of this data set. Choose another folder, or delete it.");
    }
  }
}

void add_to_summary(TokenizeSummary& summary, const TokenShard& shard) {
  summary.objects += shard.size();
  ++summary.shards;
  for (std::int64_t i = 0; i < shard.size(); ++i) {
    for (std::int64_t k = 0; k < shard.caption_count(i); ++k) {
      const std::int64_t length = shard.caption_length(i, k);
      ++summary.captions;
      summary.longest_caption = std::max(summary.longest_caption, length);
      summary.mean_caption += static_cast<double>(length);
    }
  }
}

}  // namespace

TokenizeSummary tokenize(const ObjectSource& source, const TokenizerSet& tokenizers,
                         const TokenizeOptions& options, const std::filesystem::path& folder) {
  check_options(source, tokenizers, options);
  prepare_output_directory(folder);
  const std::int64_t count = options.count == 0 ? source.size() : options.count;
  const std::int64_t shards = (count + options.objects_per_shard - 1) / options.objects_per_shard;
  refuse_left_over_shards(folder, shards);
  const TokenShardInfo info = describe_shards(source, tokenizers, options);
  // Every worker encodes its own batch on one thread: that keeps all cores busy with loading, rendering and
  // encoding alike, where threads inside each operation would wait for one another.
  const kernels::ThreadCount one_per_operation(1);
  TokenizeSummary summary;
  Progress progress("tokenising", count, "objects");
  for (std::int64_t shard = 0; shard < shards; ++shard) {
    const std::int64_t first = shard * options.objects_per_shard;
    const std::int64_t size = std::min(options.objects_per_shard, count - first);
    const std::filesystem::path path = shard_path(folder, shard);
    if (is_complete(path, info, size)) {
      progress.advance(size);
      ++summary.reused_shards;
    } else {
      std::vector<TokenObject> objects(static_cast<std::size_t>(size));
      parallel_for(size, options.batch, [&](std::int64_t begin, std::int64_t end) {
        const auto chunk = std::span(objects).subspan(static_cast<std::size_t>(begin),
                                                      static_cast<std::size_t>(end - begin));
        tokenize_batch(source, tokenizers, options, first + begin, chunk);
        progress.advance(end - begin);
      });
      write_token_shard(path, info, objects);
    }
    add_to_summary(summary, TokenShard(path));
  }
  if (summary.captions > 0) summary.mean_caption /= static_cast<double>(summary.captions);
  return summary;
}

}  // namespace omni::data
