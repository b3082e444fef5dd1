#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "omni/core/random.h"
#include "omni/geometry/camera.h"
#include "omni/geometry/mesh.h"
#include "omni/geometry/solid_field.h"
#include "omni/image/image.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::data {

enum class Split { train, new_instance, unseen_colour, unseen_attribute, unseen_count };
std::string_view split_name(Split split);
Split parse_split(std::string_view name);  // throws Error(usage)

struct Caption {
  std::string text;
  bool complete = false;  // names every parameter of the object
};

// A part of an object with one colour, for the colour score: the majority colour near it is compared with
// `colour`.
struct ColouredPart {
  std::string name;
  std::string colour_name;
  geometry::Vec3 colour;  // sRGB, 0 .. 1
};

// One object of a data set, in the normalised frame (longest side 1.92, centred, Y up, front +Z).
struct ObjectRecord {
  std::string id;
  Split split = Split::train;
  std::string class_name;                         // "" where unknown
  std::map<std::string, std::string> attributes;  // parameter -> bin, as in the captions
  std::vector<Caption> captions;
  float longest_side_m = 1;                           // size in metres before normalisation
  geometry::Mesh mesh;                                // coloured
  std::unique_ptr<const geometry::SolidField> field;  // closed form, or labelled mesh
  std::vector<ColouredPart> parts;                    // empty where unknown
};

// A set of objects with random access. Thread-safe for concurrent load().
class ObjectSource {
 public:
  virtual ~ObjectSource() = default;
  virtual std::int64_t size() const = 0;
  virtual ObjectRecord load(std::int64_t index) const = 0;
  virtual std::uint64_t fingerprint() const = 0;  // of everything that load() depends on
};

// What a tokenizer looks at, from a record. Grid: one occupancy sample per cell, at its centre; colours in
// the cells with a neighbour on the other side of the surface, white in all others. Surface points, drawn by
// `rng`: of a procedural object only where its parts are not buried in one another. Runs on the calling
// thread.
tokenizers::ShapeSample make_shape_sample(const ObjectRecord& record, const tokenizers::ShapeInput& input,
                                          CounterRng rng);

// The same objects without the first `count`. Throws Error(usage) if no object is left.
std::unique_ptr<ObjectSource> skip_objects(std::unique_ptr<ObjectSource> source, std::int64_t count);

}  // namespace omni::data
