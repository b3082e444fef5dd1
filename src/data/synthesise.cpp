#include "data_set_writer.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "omni/core/parallel.h"
#include "omni/core/progress.h"
#include "omni/data/canonical_views.h"
#include "omni/data/procedural_world.h"

namespace omni::data {
namespace {

constexpr std::int64_t kBatch = 64;

}  // namespace

void synthesise_data_set(const std::filesystem::path& out, const SynthesisOptions& options) {
  check_renders(options.renders, options.render_size);
  const std::vector<geometry::Camera> cameras = canonical_views(options.renders);
  const auto world = std::make_shared<const ProceduralWorld>(options.seed);
  std::vector<std::int64_t> objects;
  for (const auto& [split, count] : options.counts) {
    const ProceduralSource source(world, {.seed = options.seed, .split = split, .count = count});
    for (std::int64_t i = 0; i < source.size(); ++i) objects.push_back(source.object_id(i));
  }
  if (objects.empty()) fail(ErrorKind::usage, "writing a data set: no objects were asked for");

  DataSetWriter writer(out);
  Progress progress("objects", static_cast<std::int64_t>(objects.size()), "objects");
  for (std::size_t start = 0; start < objects.size(); start += kBatch) {
    const auto count = static_cast<std::int64_t>(std::min<std::size_t>(kBatch, objects.size() - start));
    std::vector<EncodedObject> encoded(count);
    parallel_for(count, 4, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        throw_if_interrupted();
        const std::int64_t object = objects[start + i];
        encoded[i] = encode_object(world->make(object), cameras, options.render_size);
        encoded[i].entry.procedural_object = object;
      }
    });
    for (EncodedObject& object : encoded) writer.add(std::move(object));
    progress.advance(count);
  }
  throw_if_interrupted();
  writer.commit({.source = "procedural",
                 .seed = options.seed,
                 .world_fingerprint = world->fingerprint(),
                 .renders = options.renders,
                 .render_size = options.render_size});
}

}  // namespace omni::data
