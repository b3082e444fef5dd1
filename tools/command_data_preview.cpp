#include <filesystem>
#include <memory>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/parallel.h"
#include "omni/core/progress.h"
#include "omni/data/data_set.h"
#include "omni/data/procedural_world.h"
#include "omni/geometry/renderer.h"

namespace omni::tools {
namespace {

struct PreviewOptions {
  std::string dataset;
  std::string split = "train";
  std::string out;
  std::uint64_t seed = 1;
  std::int64_t count = 48;
  int size = 128;
  int columns = 12;
  double azimuth = 30, elevation = 25;
  bool captions = false;
  bool by_class = false;
};

std::vector<data::ObjectRecord> pick_objects(const PreviewOptions& options) {
  std::vector<data::ObjectRecord> records;
  if (!options.dataset.empty()) {
    const data::FolderSource source(options.dataset);
    const std::int64_t shown = std::min(options.count, source.size());
    for (std::int64_t i = 0; i < shown; ++i) records.push_back(source.load(i * source.size() / shown));
    return records;
  }
  const data::Split split = data::parse_split(options.split);
  const auto world = std::make_shared<const data::ProceduralWorld>(options.seed);
  const data::ProceduralSource source(world, {.seed = options.seed, .split = split});
  if (!options.by_class) {
    for (std::int64_t i = 0; i < std::min(options.count, source.size()); ++i)
      records.push_back(source.load(i));
    return records;
  }
  // The first few objects of each class, class after class.
  const std::int64_t each = std::max<std::int64_t>(1, options.count / world->class_count());
  for (std::int64_t c = 0; c < world->class_count(); ++c) {
    std::int64_t found = 0;
    for (std::int64_t i = 0; i < source.size() && found < each; ++i) {
      if (world->class_of(source.object_id(i)) != c) continue;
      records.push_back(source.load(i));
      ++found;
    }
  }
  return records;
}

void preview(const PreviewOptions& options) {
  constexpr std::int64_t kMostPixels = std::int64_t{1} << 27;
  if (options.count > kMostPixels / (static_cast<std::int64_t>(options.size) * options.size)) {
    fail(ErrorKind::usage, "data preview: ", options.count, " pictures of ", options.size, " x ",
         options.size, " pixels are too many for one sheet. Lower --count or --size");
  }
  const std::vector<data::ObjectRecord> records = pick_objects(options);
  std::vector<image::Image> images(records.size());
  Progress progress("drawing", static_cast<std::int64_t>(records.size()), "objects");
  const geometry::Camera camera{.azimuth_degrees = static_cast<float>(options.azimuth),
                                .elevation_degrees = static_cast<float>(options.elevation)};
  parallel_for(static_cast<std::int64_t>(records.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      images[i] =
          geometry::Renderer(records[i].mesh).render(camera, {.width = options.size, .height = options.size});
      progress.advance();
    }
  });
  image::write_png(options.out, image::contact_sheet(images, options.columns));
  if (options.captions)
    for (const data::ObjectRecord& record : records)
      std::printf("%s\t%s\n", record.id.c_str(),
                  record.captions.empty() ? "" : record.captions[0].text.c_str());
}

}  // namespace

void add_data_preview_command(CLI::App& data) {
  auto options = std::make_shared<PreviewOptions>();
  CLI::App* command =
      data.add_subcommand("preview", "draw a contact sheet of a data set or of the procedural world");
  command->add_option("--dataset", options->dataset, "folder of a data set; without it the procedural world");
  command->add_option("--split", options->split, "split of the procedural world")->capture_default_str();
  command->add_option("--seed", options->seed, "seed of the procedural world")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--count", options->count, "objects to draw")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  command->add_option("--size", options->size, "pixels a side")
      ->capture_default_str()
      ->check(CLI::Range(8, 2048));
  command->add_option("--columns", options->columns, "pictures a row")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--azimuth", options->azimuth, "degrees, from the front towards +X")
      ->capture_default_str();
  command->add_option("--elevation", options->elevation, "degrees above the ground")->capture_default_str();
  command->add_flag("--by-class", options->by_class, "objects of every class, class after class");
  command->add_flag("--captions", options->captions, "print each object's id and first caption");
  command->add_option("--out", options->out, "PNG to write")->required();
  command->callback([options] { preview(*options); });
}

}  // namespace omni::tools
