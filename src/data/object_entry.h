#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "omni/data/object_source.h"
#include "omni/geometry/camera.h"
#include "omni/geometry/mesh_field.h"

namespace omni::data {

// Where some bytes lie in a shard.
struct ByteRange {
  std::uint64_t offset = 0, size = 0;
};

struct StoredRender {
  geometry::Camera camera;
  ByteRange bytes;
};

// How an imported mesh tells inside from outside.
struct StoredLabel {
  std::optional<geometry::LabelMode> mode;  // winding or flood; none where the mesh is not labelled
  double orientation_consistency = 0;       // 0 .. 1, which automatic mode chose by
  bool thickens_sheets = false;
};

// A line of objects.jsonl. `record` has neither mesh nor field.
struct ObjectEntry {
  ObjectRecord record;
  std::int64_t procedural_object = -1;  // its number in the procedural world
  StoredLabel label;
  int shard = -1;
  ByteRange mesh;
  std::vector<StoredRender> renders;
};

std::string write_object_entry(const ObjectEntry& entry);  // one line, without the line break
// The part that also goes into the shard as <id>.json: everything but shard and offsets.
std::string write_object_description(const ObjectEntry& entry);
// Throws Error(input) naming `place` ("objects.jsonl:17") and the field.
ObjectEntry read_object_entry(std::string_view line, const std::string& place);

// Ids name files inside archives: letters, digits, "_" and "-", 1 to 80 of them.
bool is_valid_id(std::string_view id);

}  // namespace omni::data
