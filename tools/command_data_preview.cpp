#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/parallel.h"
#include "omni/core/progress.h"
#include "omni/data/open_source.h"
#include "omni/geometry/renderer.h"
#include "options.h"
#include "source_options.h"

namespace omni::tools {
namespace {

struct PreviewOptions {
  data::SourceSpec source;
  bool own_split = false;
  std::string out;
  std::int64_t count = 48;
  int size = 128;
  int columns = 12;
  double azimuth = 30, elevation = 25;
  bool captions = false;
  bool by_class = false;
};

// Class after class, one more object of each in turn until there are `count`.
std::vector<std::int64_t> choose_by_class(const data::ObjectSource& source, std::int64_t count) {
  std::vector<std::string> class_names(static_cast<std::size_t>(source.size()));
  parallel_for(source.size(), 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      class_names[static_cast<std::size_t>(i)] = source.describe(i).class_name;
  });
  std::map<std::string, std::vector<std::int64_t>> by_class;
  for (std::int64_t i = 0; i < source.size(); ++i)
    by_class[class_names[static_cast<std::size_t>(i)]].push_back(i);
  std::int64_t wanted = std::min(count, source.size());
  std::map<std::string, std::size_t> taken;
  for (std::size_t turn = 0; wanted > 0; ++turn) {
    for (const auto& [name, objects] : by_class) {
      if (wanted == 0 || turn >= objects.size()) continue;
      ++taken[name];
      --wanted;
    }
  }
  std::vector<std::int64_t> chosen;
  for (const auto& [name, objects] : by_class)
    chosen.insert(chosen.end(), objects.begin(), objects.begin() + static_cast<std::ptrdiff_t>(taken[name]));
  return chosen;
}

std::vector<data::ObjectRecord> pick_objects(const PreviewOptions& options) {
  data::SourceSpec spec = options.source;
  const bool mixed = spec.source == data::kProcedural;  // its first objects show all that it has
  if (!mixed && !options.own_split) spec.split = std::nullopt;
  if (mixed && !options.by_class) spec.count = options.count;
  const std::unique_ptr<data::ObjectSource> source = data::open_source(spec);
  std::vector<std::int64_t> chosen;
  if (options.by_class) {
    chosen = choose_by_class(*source, options.count);
  } else {
    const std::int64_t shown = std::min(options.count, source->size());
    for (std::int64_t i = 0; i < shown; ++i) chosen.push_back(i * source->size() / shown);
  }
  std::vector<data::ObjectRecord> records;
  for (const std::int64_t index : chosen) records.push_back(source->load(index));
  return records;
}

void preview(const PreviewOptions& options) {
  constexpr std::int64_t kMaximumPixels = std::int64_t{1} << 27;
  if (options.count > kMaximumPixels / (static_cast<std::int64_t>(options.size) * options.size)) {
    fail(ErrorKind::usage, "data preview: ", options.count, " pictures of ", options.size, " x ",
         options.size, " pixels are too many for one sheet. Lower --count or --size");
  }
  image::require_image_file(options.out);
  const std::vector<data::ObjectRecord> records = pick_objects(options);
  std::vector<image::Image> images(records.size());
  Progress progress("drawing", static_cast<std::int64_t>(records.size()), "objects");
  const geometry::Camera camera{.azimuth_degrees = static_cast<float>(options.azimuth),
                                .elevation_degrees = static_cast<float>(options.elevation)};
  parallel_for(static_cast<std::int64_t>(records.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const geometry::Mesh& mesh = records[i].mesh;
      images[i] = geometry::Renderer(mesh).render(fitted(camera, mesh.positions),
                                                  {.width = options.size, .height = options.size});
      progress.advance();
    }
  });
  image::write_image(options.out, image::contact_sheet(images, options.columns));
  if (options.captions)
    for (const data::ObjectRecord& record : records)
      std::printf("%s\t%s\n", record.id.c_str(),
                  record.captions.empty() ? "" : record.captions[0].text.c_str());
}

}  // namespace

void add_data_preview_command(CLI::App& data) {
  auto options = std::make_shared<PreviewOptions>();
  CLI::App* command = data.add_subcommand("preview", "draw a contact sheet of objects");
  add_source_options(*command, options->source, ",--dataset");
  const CLI::Option* split = add_split_option(*command, options->source);
  add_number(*command, "--count", options->count, {1, 10000}, "objects to draw");
  add_number(*command, "--size", options->size, {8, 2048}, "pixels a side");
  add_number(*command, "--columns", options->columns, {1, 1000}, "pictures a row");
  add_number(*command, "--azimuth", options->azimuth, kAzimuths, "degrees, from the front towards +X");
  add_number(*command, "--elevation", options->elevation, kElevations, "degrees above the ground");
  command->add_flag("--by-class", options->by_class, "objects of every class, class after class");
  command->add_flag("--captions", options->captions, "print each object's id and first caption");
  command->add_option("--out", options->out, "picture to write: .png, .jpg or .webp")->required();
  command->callback([options, split] {
    options->own_split = split->count() > 0;
    preview(*options);
  });
}

}  // namespace omni::tools
