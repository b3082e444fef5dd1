#include "omni/training/tokenizer_data.h"

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <optional>
#include <sstream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/core/parallel.h"
#include "omni/core/progress.h"
#include "omni/core/random.h"
#include "omni/core/shuffle.h"
#include "omni/geometry/renderer.h"
#include "omni/tokenizers/caption_text.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

// `count` different bins of the 24 x 7 views.
std::vector<int> draw_views(CounterRng& rng, std::int64_t count) {
  std::vector<int> bins(geometry::kAzimuthBins * geometry::kElevationBins);
  for (std::size_t i = 0; i < bins.size(); ++i) bins[i] = static_cast<int>(i);
  shuffle_first(std::span(bins), static_cast<std::size_t>(count), rng);
  bins.resize(count);
  return bins;
}

geometry::Camera camera_of_bin(int bin) {
  geometry::Camera camera;
  camera.azimuth_degrees = geometry::azimuth_of_bin(bin % geometry::kAzimuthBins);
  camera.elevation_degrees = geometry::elevation_of_bin(bin / geometry::kAzimuthBins);
  return camera;
}

std::vector<image::Image> render_objects(const TokenizerDataConfig& config, int size, bool tells) {
  const std::unique_ptr<data::ObjectSource> source = data::open_source(config.source);
  const std::int64_t views = config.views_per_object;
  const std::uint64_t seed = hash_combine(source->fingerprint(), hash_string("tokenizer views"));
  std::vector<image::Image> images(static_cast<std::size_t>(source->size() * views));
  std::optional<Progress> progress;
  if (tells) progress.emplace("rendering", source->size(), "objects");
  geometry::RenderOptions options;
  options.width = options.height = size;
  parallel_for(source->size(), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      throw_if_interrupted();
      const geometry::Renderer renderer(source->load(i).mesh);
      CounterRng rng(seed, static_cast<std::uint64_t>(i));
      const std::vector<int> bins = draw_views(rng, views);
      for (std::int64_t v = 0; v < views; ++v) {
        images[static_cast<std::size_t>(i * views + v)] =
            renderer.render(camera_of_bin(bins[static_cast<std::size_t>(v)]), options);
      }
    }
    if (progress) progress->advance(end - begin);
  });
  return images;
}

// Whether the examples are files of the user's.
bool takes_files(const TokenizerDataConfig& config) {
  if (config.folder.empty()) return false;
  if (config.source.source != data::kProcedural)
    fail(ErrorKind::usage, "choosing a tokenizer's examples: both the objects of '", config.source.source,
         "' and the files of '", config.folder, "' are given. Leave out source or folder");
  return true;
}

}  // namespace

void describe(ConfigVisitor& visitor, TokenizerDataConfig& config) {
  constexpr double views = geometry::kAzimuthBins * geometry::kElevationBins;
  data::describe(visitor, config.source);
  visitor.integer("objects", config.source.count, {.minimum = 1});
  visitor.integer("views_per_object", config.views_per_object, {.minimum = 1, .maximum = views});
  visitor.text("folder", config.folder);
}

std::vector<image::Image> read_pictures(const std::string& folder, int size, bool tells) {
  const std::vector<fs::path> files = files_below(folder);
  std::vector<image::Image> pictures(files.size());
  std::vector<std::string> problems(files.size());
  parallel_for(static_cast<std::int64_t>(files.size()), 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      throw_if_interrupted();
      try {
        pictures[i] =
            image::resize(image::centre_square(image::to_rgb(image::read_image(files[i]))), size, size);
      } catch (const Error& error) {
        problems[i] = error.what();
      }
    }
  });
  for (const std::string& problem : problems) {
    if (tells && !problem.empty()) log_warning("skipped: ", problem);
  }
  std::erase_if(pictures, [](const image::Image& picture) { return picture.pixels.empty(); });
  if (pictures.empty())
    fail(ErrorKind::input, "the folder '", folder, "' holds no PNG, JPEG or WebP picture");
  return pictures;
}

std::vector<image::Image> training_images(const TokenizerDataConfig& config, int size, bool tells) {
  return takes_files(config) ? read_pictures(config.folder, size, tells)
                             : render_objects(config, size, tells);
}

std::vector<std::string> training_texts(const TokenizerDataConfig& config) {
  std::vector<std::string> texts;
  if (takes_files(config)) {
    std::istringstream lines(read_file_text(config.folder));
    for (std::string line; std::getline(lines, line);) texts.push_back(tokenizers::fold_case(line));
    return texts;
  }
  const std::unique_ptr<data::ObjectSource> source = data::open_source(config.source);
  for (std::int64_t i = 0; i < source->size(); ++i) {
    for (const data::Caption& caption : source->describe(i).captions) {
      // Brief captions stay out: byte-level tokens spell any word, and the shipped vocabulary was made
      // without.
      const bool full =
          caption.kind == data::CaptionKind::complete || caption.kind == data::CaptionKind::partial;
      if (full) texts.push_back(tokenizers::fold_case(caption.text));
    }
  }
  return texts;
}

}  // namespace omni::training
