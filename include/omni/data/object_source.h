#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "omni/geometry/mesh.h"
#include "omni/geometry/solid_field.h"

namespace omni::data {

enum class Split { train, new_instance, unseen_colour, unseen_attribute, unseen_count };
std::string_view split_name(Split split);
std::vector<std::string> split_names();    // of all of them
Split parse_split(std::string_view name);  // throws Error(usage)

// The numbers are those of token shards.
enum class CaptionKind : std::uint8_t {
  partial = 0,
  complete = 1,  // names every parameter of the object
  brief = 2,     // as people write prompts: "red chair", "a chair, tall and red", "gray cup"
  reworded = 3,  // the same in wordings that training never shows; never in a token shard
};
inline constexpr int kCaptionKinds = 4;
std::string_view caption_kind_name(CaptionKind kind);
CaptionKind parse_caption_kind(std::string_view name);  // throws Error(usage)

struct Caption {
  std::string text;
  CaptionKind kind = CaptionKind::partial;
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
  // The mesh is a union of closed components that may overlap: some of its surface lies inside.
  bool partly_buried = false;
  std::vector<ColouredPart> parts;  // empty where unknown
};

// A set of objects with random access. All members may be called from several threads at once. An index out
// of range is Error(usage).
class ObjectSource {
 public:
  virtual ~ObjectSource() = default;
  virtual std::int64_t size() const = 0;
  virtual ObjectRecord load(std::int64_t index) const = 0;
  // The same without mesh, field and longest_side_m, as quickly as the source can tell it.
  virtual ObjectRecord describe(std::int64_t index) const;
  // The field of load() alone, as quickly as the source can make it.
  virtual std::unique_ptr<const geometry::SolidField> field(std::int64_t index) const;
  virtual std::uint64_t fingerprint() const = 0;  // of everything that load() depends on
  // Above 0: objects with the same attributes differ in their sizes (SourceSpec::variation).
  virtual double variation() const { return 0; }
};

}  // namespace omni::data
