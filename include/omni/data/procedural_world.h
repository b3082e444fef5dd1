#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "omni/core/number.h"
#include "omni/data/object_source.h"

namespace omni::data {

struct Primitive;

inline constexpr NumberRange kVariations{.minimum = 0, .maximum = 1};

// One class of the procedural world, as reports and tests see it.
struct ProceduralClass {
  std::string name;
  std::vector<std::pair<std::string, std::vector<std::string>>> attributes;  // name -> words
  // name -> colours; the first part is the main one
  std::vector<std::pair<std::string, std::vector<std::string>>> parts;
  std::int64_t first_geometry = 0, geometries = 0;
  std::int64_t colourings = 0;  // valid colour combinations per geometry
  std::int64_t first_object = 0;
  std::vector<std::string> held_out_colours;                             // main colours; chosen by the seed
  std::vector<std::pair<std::string, std::string>> held_out_attributes;  // by hand, the same for every seed
  std::vector<std::pair<std::string, std::string>> held_out_counts;      // counts and relations, by hand
};

// The procedural world: every object is a class, one bin per geometric attribute, and one palette colour per
// part. Objects are numbered 0 .. object_count() - 1 in mixed radix: class, geometry (first attribute
// slowest), colouring. The world itself never changes; the seed decides which combinations are held out:
//   new_instance      whole geometric combinations, about 8 % of those that no other rule holds out; every
//                     value, and every pair of values of the class that occurs at all, still occurs in train
//   unseen_colour     one or two main colours per class
//   unseen_attribute  one value of a geometric attribute for most classes; the word occurs in train with others
//   unseen_count      the same for a count ("three legs") or a relation ("beside")
// An object held out by two rules at once belongs to no split. Immutable and thread-safe.
class ProceduralWorld {
 public:
  // `variation` (0 to 1): how far the measured attributes of an object (heights, widths, thicknesses ...) may
  // lie from the middle of their bin; with 1 anywhere in it, so that no two objects have one geometry. Drawn
  // per object; bins do not touch, so that words stay true. Throws Error(usage) outside of 0 to 1.
  explicit ProceduralWorld(std::uint64_t seed, double variation = 0);
  ~ProceduralWorld();
  ProceduralWorld(const ProceduralWorld&) = delete;
  ProceduralWorld& operator=(const ProceduralWorld&) = delete;

  std::uint64_t seed() const;
  double variation() const;
  // The class table, the palette and the rules; changes whenever any object or split could.
  std::uint64_t fingerprint() const;

  std::int64_t class_count() const;
  std::int64_t geometry_count() const;
  std::int64_t object_count() const;
  const ProceduralClass& class_info(std::int64_t class_index) const;

  std::int64_t class_of(std::int64_t object) const;
  std::int64_t geometry_of(std::int64_t object) const;  // global number, 0 .. geometry_count() - 1
  std::int64_t class_of_geometry(std::int64_t geometry) const;
  // Objects of one geometry are consecutive.
  std::int64_t first_object_of_geometry(std::int64_t geometry) const;
  std::optional<Split> split_of(std::int64_t object) const;  // nullopt: held out by two rules

  // Several wordings, deterministic per object, lower case: four complete ones first, then partial ones,
  // brief ones and reworded ones.
  std::vector<Caption> captions(std::int64_t object) const;
  std::unique_ptr<const geometry::SolidField> field(std::int64_t object) const;
  // Everything but mesh, field and longest_side_m.
  ObjectRecord describe(std::int64_t object) const;
  // Everything; id is "<class>-<object>", with "_" for spaces. Mesh: closed, manifold, oriented components
  // that may overlap, one per primitive. Split: train where split_of() gives none.
  ObjectRecord make(std::int64_t object) const;

 private:
  friend std::vector<int> part_colours_of(const ProceduralWorld& world, std::int64_t object);
  friend std::vector<Primitive> primitives_of(const ProceduralWorld& world, std::int64_t object);
  friend std::vector<Primitive> primitives_in_class_units(const ProceduralWorld& world, std::int64_t object);
  struct State;
  std::unique_ptr<const State> state_;
};

struct ProceduralOptions {
  std::uint64_t seed = 1;
  Split split = Split::train;
  std::int64_t count = 0;  // 0: the whole split
  bool at_most = false;    // where the split is smaller than `count`, all of it will do
  double variation = 0;    // of the world
};

// The first `count` objects of a seeded order of a split, without repetition. The order goes through the
// geometries round by round, each time with a colouring not yet used, so that a prefix of any length covers
// as many geometries as it can and no class crowds out another.
class ProceduralSource : public ObjectSource {
 public:
  explicit ProceduralSource(const ProceduralOptions& options);  // throws Error(usage) if the split is smaller
  ProceduralSource(std::shared_ptr<const ProceduralWorld> world, const ProceduralOptions& options);

  std::int64_t size() const override;
  ObjectRecord load(std::int64_t index) const override;
  ObjectRecord describe(std::int64_t index) const override;
  std::unique_ptr<const geometry::SolidField> field(std::int64_t index) const override;
  std::uint64_t fingerprint() const override;
  double variation() const override { return world_->variation(); }

  std::int64_t object_id(std::int64_t index) const;
  const ProceduralWorld& world() const { return *world_; }

 private:
  std::shared_ptr<const ProceduralWorld> world_;
  ProceduralOptions options_;
  std::vector<std::uint32_t> objects_;
};

}  // namespace omni::data
