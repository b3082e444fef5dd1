#include "omni/training/tokenizer_data.h"

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <sstream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/core/parallel.h"
#include "omni/core/progress.h"
#include "omni/core/random.h"
#include "omni/data/procedural_world.h"
#include "omni/geometry/renderer.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

// `count` different bins of the 24 x 7 views.
std::vector<int> draw_views(CounterRng& rng, std::int64_t count) {
  std::vector<int> bins(geometry::kAzimuthBins * geometry::kElevationBins);
  for (std::size_t i = 0; i < bins.size(); ++i) bins[i] = static_cast<int>(i);
  for (std::int64_t i = 0; i < count; ++i) std::swap(bins[i], bins[i + rng.below(bins.size() - i)]);
  bins.resize(count);
  return bins;
}

geometry::Camera camera_of_bin(int bin) {
  geometry::Camera camera;
  camera.azimuth_degrees = geometry::azimuth_of_bin(bin % geometry::kAzimuthBins);
  camera.elevation_degrees = geometry::elevation_of_bin(bin / geometry::kAzimuthBins);
  return camera;
}

}  // namespace

void describe(ConfigVisitor& visitor, TokenizerDataConfig& config) {
  constexpr double views = geometry::kAzimuthBins * geometry::kElevationBins;
  visitor.text("folder", config.folder);
  visitor.integer("world_seed", config.world_seed, {.minimum = 0});
  visitor.integer("objects", config.objects, {.minimum = 1});
  visitor.integer("views_per_object", config.views_per_object, {.minimum = 1, .maximum = views});
}

std::vector<image::Image> render_world(const TokenizerDataConfig& config, data::Split split,
                                       std::int64_t objects, std::int64_t views_per_object, int size) {
  const data::ProceduralSource source(
      {.seed = static_cast<std::uint64_t>(config.world_seed), .split = split, .count = objects});
  std::vector<image::Image> images(source.size() * views_per_object);
  Progress progress("rendering", source.size(), "objects");
  geometry::RenderOptions options;
  options.width = options.height = size;
  parallel_for(source.size(), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      throw_if_interrupted();
      const geometry::Renderer renderer(source.load(i).mesh);
      CounterRng rng(hash_combine(source.fingerprint(), hash_string("tokenizer views")),
                     static_cast<std::uint64_t>(i));
      const std::vector<int> bins = draw_views(rng, views_per_object);
      for (std::int64_t v = 0; v < views_per_object; ++v) {
        images[i * views_per_object + v] = renderer.render(camera_of_bin(bins[v]), options);
      }
    }
    progress.advance(end - begin);
  });
  return images;
}

std::vector<image::Image> read_pictures(const std::string& folder, int size) {
  const std::vector<fs::path> files = files_below(folder);
  std::vector<image::Image> pictures(files.size());
  std::vector<std::string> problems(files.size());
  parallel_for(static_cast<std::int64_t>(files.size()), 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      throw_if_interrupted();
      try {
        pictures[i] =
            image::resize(image::center_square(image::to_rgb(image::read_image(files[i]))), size, size);
      } catch (const Error& error) {
        problems[i] = error.what();
      }
    }
  });
  for (const std::string& problem : problems) {
    if (!problem.empty()) log_warning("skipped: ", problem);
  }
  std::erase_if(pictures, [](const image::Image& picture) { return picture.pixels.empty(); });
  if (pictures.empty())
    fail(ErrorKind::input, "the folder '", folder, "' holds no PNG, JPEG or WebP picture");
  return pictures;
}

std::vector<image::Image> training_images(const TokenizerDataConfig& config, int size) {
  if (!config.folder.empty()) return read_pictures(config.folder, size);
  return render_world(config, data::Split::train, config.objects, config.views_per_object, size);
}

std::vector<std::string> training_texts(const TokenizerDataConfig& config) {
  std::vector<std::string> texts;
  if (!config.folder.empty()) {
    std::istringstream lines(read_file_text(config.folder));
    for (std::string line; std::getline(lines, line);) texts.push_back(line);
    return texts;
  }
  const data::ProceduralSource source(
      {.seed = static_cast<std::uint64_t>(config.world_seed), .count = config.objects});
  for (std::int64_t i = 0; i < source.size(); ++i) {
    for (data::Caption& caption : source.world().captions(source.object_id(i)))
      texts.push_back(std::move(caption.text));
  }
  return texts;
}

}  // namespace omni::training
