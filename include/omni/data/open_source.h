#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "omni/core/config.h"
#include "omni/data/object_source.h"
#include "omni/geometry/mesh_field.h"

namespace omni::data {

inline constexpr std::string_view kProcedural = "procedural";

// Where objects come from and which of them are meant, as one value: filled from a command line or a YAML
// file, opened by open_source().
struct SourceSpec {
  // "procedural", or a folder: a data set (told by its dataset.json), or mesh files, also in folders below.
  // A folder of that very name is "./procedural".
  std::string source = std::string(kProcedural);
  std::uint64_t seed = 1;  // of the procedural world: which objects are held out, and their order
  double variation = 0;    // of the procedural world: see ProceduralWorld

  // Absent: every split of a data set. Mesh files have no splits.
  std::optional<Split> split = Split::train;
  std::int64_t skip = 0;   // objects left out at the start
  std::int64_t count = 0;  // at most so many taken from there on; 0: all

  // How mesh files tell inside from outside. A data set was labelled when it was made.
  geometry::MeshFieldOptions labels = {};
};

// The keys `source`, `seed`, `variation`, `label` and `epsilon`. What uses a spec describes which objects are
// meant.
void describe(ConfigVisitor& visitor, SourceSpec& spec);

// From a split's name, or "all" for every split. Throws Error(usage).
std::optional<Split> parse_split_choice(std::string_view name);

// Opens what the value names; no mesh is read yet. A mesh file becomes an object with its path below the
// folder as id, its folder as class and its name as caption. Throws Error(io) for a folder that does not
// exist, Error(input) for one that is damaged, empty or holds neither a data set nor meshes, Error(usage) for
// what the source does not offer: all splits of the procedural world at once, labels of a data set, more
// objects to skip than there are.
std::unique_ptr<ObjectSource> open_source(const SourceSpec& spec);

}  // namespace omni::data
