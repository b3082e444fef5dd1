#include <algorithm>

#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/core/shuffle.h"
#include "omni/data/procedural_world.h"

namespace omni::data {
namespace {

// The split's objects, geometry by geometry, each list in a random order.
std::vector<std::vector<std::uint32_t>> objects_by_geometry(const ProceduralWorld& world, Split split) {
  std::vector<std::vector<std::uint32_t>> lists;
  for (std::int64_t g = 0; g < world.geometry_count(); ++g) {
    const std::int64_t first = world.first_object_of_geometry(g);
    const std::int64_t count = world.class_info(world.class_of_geometry(g)).colourings;
    std::vector<std::uint32_t> list;
    for (std::int64_t o = first; o < first + count; ++o)
      if (world.split_of(o) == split) list.push_back(static_cast<std::uint32_t>(o));
    CounterRng rng(world.seed(), hash_combine(hash_string("colour order"), static_cast<std::uint64_t>(g)));
    shuffle(std::span(list), rng);
    if (!list.empty()) lists.push_back(std::move(list));
  }
  return lists;
}

std::vector<std::uint32_t> round_by_round(const std::vector<std::vector<std::uint32_t>>& lists,
                                          std::uint64_t seed, std::size_t limit) {
  std::size_t total = 0, longest = 0;
  for (const auto& list : lists) {
    total += list.size();
    longest = std::max(longest, list.size());
  }
  std::vector<std::uint32_t> order;
  order.reserve(std::min(limit, total));
  for (std::size_t round = 0; round < longest && order.size() < limit; ++round) {
    const std::size_t start = order.size();
    for (const auto& list : lists)
      if (round < list.size()) order.push_back(list[round]);
    CounterRng rng(seed, hash_combine(hash_string("round"), round));
    shuffle(std::span(order).subspan(start), rng);
  }
  order.resize(std::min(limit, order.size()));
  return order;
}

}  // namespace

ProceduralSource::ProceduralSource(const ProceduralOptions& options)
    : ProceduralSource(std::make_shared<const ProceduralWorld>(options.seed, options.variation), options) {}

ProceduralSource::ProceduralSource(std::shared_ptr<const ProceduralWorld> world,
                                   const ProceduralOptions& options)
    : world_(std::move(world)), options_(options) {
  const auto lists = objects_by_geometry(*world_, options.split);
  std::size_t size = 0;
  for (const auto& list : lists) size += list.size();
  if (options.at_most) options_.count = std::min(options_.count, static_cast<std::int64_t>(size));
  if (options_.count < 0 || options_.count > static_cast<std::int64_t>(size))
    fail(ErrorKind::usage, "procedural world: ", options.count, " objects of split ",
         split_name(options.split), " were asked for; there are ", size,
         ". Ask for at most that many, or 0 for all.");
  if (options_.count == 0) options_.count = static_cast<std::int64_t>(size);
  objects_ = round_by_round(lists, world_->seed(), static_cast<std::size_t>(options_.count));
}

std::int64_t ProceduralSource::size() const { return static_cast<std::int64_t>(objects_.size()); }

std::int64_t ProceduralSource::object_id(std::int64_t index) const {
  if (index < 0 || index >= size())
    fail(ErrorKind::usage, "procedural source: object ", index, " was asked for; there are ", size());
  return objects_[index];
}

ObjectRecord ProceduralSource::load(std::int64_t index) const { return world_->make(object_id(index)); }

ObjectRecord ProceduralSource::describe(std::int64_t index) const {
  return world_->describe(object_id(index));
}

std::unique_ptr<const geometry::SolidField> ProceduralSource::field(std::int64_t index) const {
  return world_->field(object_id(index));
}

std::uint64_t ProceduralSource::fingerprint() const {
  std::uint64_t h = hash_combine(world_->fingerprint(), static_cast<std::uint64_t>(options_.split));
  return hash_combine(h, static_cast<std::uint64_t>(options_.count));
}

}  // namespace omni::data
