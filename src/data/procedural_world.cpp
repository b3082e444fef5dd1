#include "omni/data/procedural_world.h"

#include <algorithm>
#include <array>

#include "caption_writer.h"
#include "held_out.h"
#include "object_class.h"
#include "omni/core/error.h"
#include "omni/core/random.h"
#include "omni/data/palette.h"
#include "primitive_solid.h"
#include "procedural_parts.h"

namespace omni::data {
namespace {

// Raised by hand when a builder's dimensions change: the class table's words do not show that.
constexpr std::uint64_t kWorldVersion = 2;

std::vector<int> part_colours(const PartSpec& part) {
  if (!part.colours.empty()) return part.colours;
  std::vector<int> all(palette().size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
  return all;
}

// All combinations of one colour per part without repetition, the main colour slowest.
std::vector<std::vector<int>> colourings(const ObjectClass& kind) {
  std::vector<std::vector<int>> all = {{}};
  for (const PartSpec& part : kind.parts) {
    std::vector<std::vector<int>> longer;
    for (const auto& start : all)
      for (const int colour : part_colours(part)) {
        if (std::find(start.begin(), start.end(), colour) != start.end()) continue;
        longer.push_back(start);
        longer.back().push_back(colour);
      }
    all = std::move(longer);
  }
  return all;
}

std::uint64_t hash_class(const ObjectClass& kind) {
  std::uint64_t h = hash_string(kind.name);
  for (const AttributeSpec& a : kind.attributes) {
    h = hash_combine(h, hash_string(a.name));
    for (const std::string& word : a.words) h = hash_combine(h, hash_string(word));
  }
  for (const PartSpec& part : kind.parts) {
    h = hash_combine(h, hash_string(part.name));
    for (const int colour : part_colours(part)) h = hash_combine(h, static_cast<std::uint64_t>(colour));
  }
  for (const auto* patterns :
       {&kind.adjectives, &kind.features, &kind.complete_patterns, &kind.partial_patterns})
    for (const std::string& pattern : *patterns) h = hash_combine(h, hash_string(pattern));
  for (const auto* values : {&kind.held_out_attributes, &kind.held_out_counts})
    for (const AttributeValue& v : *values) h = hash_combine(h, hash_string(v.attribute + "=" + v.word));
  return hash_combine(h, hash_string(kind.noun));
}

ProceduralClass describe_class(const ObjectClass& kind) {
  ProceduralClass info;
  info.name = kind.name;
  for (const AttributeSpec& a : kind.attributes) info.attributes.emplace_back(a.name, a.words);
  for (const PartSpec& part : kind.parts) {
    std::vector<std::string> names;
    for (const int colour : part_colours(part)) names.emplace_back(palette()[colour].name);
    info.parts.emplace_back(part.name, std::move(names));
  }
  for (const AttributeValue& v : kind.held_out_attributes)
    info.held_out_attributes.emplace_back(v.attribute, v.word);
  for (const AttributeValue& v : kind.held_out_counts) info.held_out_counts.emplace_back(v.attribute, v.word);
  return info;
}

// Mesh health counts vertices at equal positions as one. Shrinking each primitive by a few
// hundred-thousandths more than the one before keeps the corners of stacked primitives apart, so that
// components stay separate.
void separate_corners(std::vector<Primitive>& primitives) {
  float scale = 1;
  for (Primitive& p : primitives) {
    p.half *= scale;
    scale -= 3e-5f;
  }
}

// Centres the bounding box and scales its longest side to 1.92; returns that side before, in the class's
// unit.
float normalise_primitives(std::vector<Primitive>& primitives) {
  geometry::Bounds bounds;
  for (const Primitive& p : primitives) {
    const geometry::Bounds b = primitive_bounds(p);
    bounds.include(b.low);
    bounds.include(b.high);
  }
  const geometry::Vec3 extent = bounds.extent();
  const float longest = std::max({extent.x, extent.y, extent.z});
  const float scale = geometry::kNormalisedLongestSide / longest;
  for (Primitive& p : primitives) {
    p.centre = (p.centre - bounds.centre()) * scale;
    p.half *= scale;
  }
  return longest;
}

}  // namespace

struct ProceduralWorld::State {
  std::uint64_t seed = 0;
  double variation = 0;
  std::uint64_t fingerprint = 0;
  std::vector<ProceduralClass> infos;
  std::vector<std::vector<std::vector<int>>> colourings;  // per class
  std::vector<HeldOut> held_out;
  std::int64_t geometries = 0, objects = 0;

  // An object in the terms of its class.
  struct Address {
    std::int64_t class_index, geometry;  // geometry within the class
    const std::vector<int>& colours;
  };
  Address locate(std::int64_t object) const {
    if (object < 0 || object >= objects)
      fail(ErrorKind::usage, "procedural world: object ", object, " is not in 0 .. ", objects - 1);
    const auto above =
        std::upper_bound(infos.begin(), infos.end(), object,
                         [](std::int64_t o, const ProceduralClass& c) { return o < c.first_object; });
    const auto c = static_cast<std::int64_t>(above - infos.begin()) - 1;
    const std::int64_t within = object - infos[c].first_object;
    return {c, within / infos[c].colourings, colourings[c][within % infos[c].colourings]};
  }

  // Of the object's measured attributes, drawn for each object anew; nothing in a world of bins' centres.
  std::vector<float> places(const ObjectClass& kind, std::int64_t object) const {
    std::vector<float> result;
    if (variation == 0) return result;
    CounterRng rng(seed, hash_combine(hash_string("place in bin"), static_cast<std::uint64_t>(object)));
    for (const AttributeSpec& attribute : kind.attributes) {
      const double place = variation * (2 * rng.uniform() - 1);
      result.push_back(is_measured(attribute) ? static_cast<float>(place) : 0.0f);
    }
    return result;
  }

  std::vector<Primitive> build_in_class_units(std::int64_t object, const Address& address) const {
    const ObjectClass& kind = object_classes()[address.class_index];
    SolidBuilder builder;
    const std::vector<int> bins = decode_bins(kind, address.geometry);
    kind.build(Bins(bins, places(kind, object)), builder);
    return std::move(builder.primitives());
  }

  std::vector<Primitive> build(std::int64_t object, const Address& address, float* longest) const {
    std::vector<Primitive> primitives = build_in_class_units(object, address);
    separate_corners(primitives);
    const float side = normalise_primitives(primitives);
    if (longest != nullptr) *longest = side;
    return primitives;
  }
};

ProceduralWorld::ProceduralWorld(std::uint64_t seed, double variation) {
  if (!contains(kVariations, variation))
    fail(ErrorKind::usage, "procedural world: variation is ", variation, ". Give a number ",
         range_text(kVariations));
  auto state = std::make_unique<State>();
  state->seed = seed;
  state->variation = variation;
  state->held_out = choose_held_out(object_classes(), seed);
  state->fingerprint = hash_combine(hash_combine(hash_string("procedural world"), kWorldVersion), seed);
  for (std::size_t c = 0; c < object_classes().size(); ++c) {
    const ObjectClass& kind = object_classes()[c];
    state->fingerprint = hash_combine(state->fingerprint, hash_class(kind));
    state->colourings.push_back(data::colourings(kind));
    ProceduralClass info = describe_class(kind);
    info.first_geometry = state->geometries;
    info.geometries = data::geometry_count(kind);
    info.colourings = static_cast<std::int64_t>(state->colourings.back().size());
    info.first_object = state->objects;
    for (std::size_t i = 0; i < palette().size(); ++i)
      if (state->held_out[c].colour[i]) info.held_out_colours.emplace_back(palette()[i].name);
    state->geometries += info.geometries;
    state->objects += info.geometries * info.colourings;
    state->infos.push_back(std::move(info));
  }
  for (const PaletteColour& colour : palette())
    state->fingerprint = hash_combine(state->fingerprint, hash_string(colour.name));
  if (variation > 0)
    state->fingerprint =
        hash_combine(state->fingerprint, hash_string("variation " + std::to_string(variation)));
  state_ = std::move(state);
}

ProceduralWorld::~ProceduralWorld() = default;

std::uint64_t ProceduralWorld::seed() const { return state_->seed; }
double ProceduralWorld::variation() const { return state_->variation; }
std::uint64_t ProceduralWorld::fingerprint() const { return state_->fingerprint; }
std::int64_t ProceduralWorld::class_count() const { return static_cast<std::int64_t>(state_->infos.size()); }
std::int64_t ProceduralWorld::geometry_count() const { return state_->geometries; }
std::int64_t ProceduralWorld::object_count() const { return state_->objects; }

const ProceduralClass& ProceduralWorld::class_info(std::int64_t class_index) const {
  if (class_index < 0 || class_index >= class_count())
    fail(ErrorKind::usage, "procedural world: class ", class_index, " is not in 0 .. ", class_count() - 1);
  return state_->infos[class_index];
}

std::int64_t ProceduralWorld::class_of(std::int64_t object) const {
  return state_->locate(object).class_index;
}

std::int64_t ProceduralWorld::geometry_of(std::int64_t object) const {
  const auto address = state_->locate(object);
  return state_->infos[address.class_index].first_geometry + address.geometry;
}

std::int64_t ProceduralWorld::class_of_geometry(std::int64_t geometry) const {
  if (geometry < 0 || geometry >= state_->geometries)
    fail(ErrorKind::usage, "procedural world: geometry ", geometry, " is not in 0 .. ",
         state_->geometries - 1);
  const auto above =
      std::upper_bound(state_->infos.begin(), state_->infos.end(), geometry,
                       [](std::int64_t g, const ProceduralClass& c) { return g < c.first_geometry; });
  return static_cast<std::int64_t>(above - state_->infos.begin()) - 1;
}

std::int64_t ProceduralWorld::first_object_of_geometry(std::int64_t geometry) const {
  const ProceduralClass& info = state_->infos[class_of_geometry(geometry)];
  return info.first_object + (geometry - info.first_geometry) * info.colourings;
}

std::optional<Split> ProceduralWorld::split_of(std::int64_t object) const {
  const auto address = state_->locate(object);
  return data::split_of(state_->held_out[address.class_index], address.geometry, address.colours[0]);
}

std::vector<Caption> ProceduralWorld::captions(std::int64_t object) const {
  const auto address = state_->locate(object);
  const ObjectClass& kind = object_classes()[address.class_index];
  const std::vector<int> bins = decode_bins(kind, address.geometry);
  return write_captions({kind, bins, address.colours});
}

std::unique_ptr<const geometry::SolidField> ProceduralWorld::field(std::int64_t object) const {
  const auto address = state_->locate(object);
  std::vector<geometry::Vec3> colours;
  for (const int c : address.colours) colours.push_back(palette()[c].srgb);
  return std::make_unique<PrimitiveSolid>(state_->build(object, address, nullptr), std::move(colours));
}

ObjectRecord ProceduralWorld::describe(std::int64_t object) const {
  const auto address = state_->locate(object);
  const ObjectClass& kind = object_classes()[address.class_index];
  ObjectRecord record;
  record.id = kind.name + "-" + std::to_string(object);
  std::replace(record.id.begin(), record.id.end(), ' ', '_');
  record.split = split_of(object).value_or(Split::train);
  record.class_name = kind.name;
  const std::vector<int> bins = decode_bins(kind, address.geometry);
  for (std::size_t a = 0; a < bins.size(); ++a)
    record.attributes[kind.attributes[a].name] = kind.attributes[a].words[bins[a]];
  record.captions = write_captions({kind, bins, address.colours});
  for (std::size_t i = 0; i < kind.parts.size(); ++i) {
    const PaletteColour& colour = palette()[address.colours[i]];
    record.parts.push_back({kind.parts[i].name, std::string(colour.name), colour.srgb});
  }
  record.partly_buried = true;
  return record;
}

ObjectRecord ProceduralWorld::make(std::int64_t object) const {
  const auto address = state_->locate(object);
  ObjectRecord record = describe(object);
  std::vector<geometry::Vec3> colours;
  for (const ColouredPart& part : record.parts) colours.push_back(part.colour);
  float longest = 1;
  std::vector<Primitive> primitives = state_->build(object, address, &longest);
  record.longest_side_m = longest * static_cast<float>(object_classes()[address.class_index].metres_per_unit);
  for (const Primitive& p : primitives) append_primitive_mesh(p, colours[p.part], record.mesh);
  record.field = std::make_unique<PrimitiveSolid>(std::move(primitives), std::move(colours));
  return record;
}

std::vector<int> part_colours_of(const ProceduralWorld& world, std::int64_t object) {
  return world.state_->locate(object).colours;
}

std::vector<Primitive> primitives_of(const ProceduralWorld& world, std::int64_t object) {
  return world.state_->build(object, world.state_->locate(object), nullptr);
}

std::vector<Primitive> primitives_in_class_units(const ProceduralWorld& world, std::int64_t object) {
  return world.state_->build_in_class_units(object, world.state_->locate(object));
}

}  // namespace omni::data
