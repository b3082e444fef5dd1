#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "omni/data/object_source.h"
#include "omni/geometry/camera.h"
#include "omni/geometry/mesh_field.h"
#include "omni/image/image.h"

namespace omni::data {

// A data set on disk is a folder:
//
//   dataset.json      format and version, source ("procedural" or "import"), fingerprint, counts per split,
//                     settings
//   objects.jsonl     one object a line: id, split, class, attributes, captions, size, parts, and where its
//                     bytes are
//   shard-NNNNN.tar   WebDataset archives (ustar): <id>.glb, <id>.json and, per picture that was asked for,
//                     <id>.a<azimuth>e<elevation>.png
//   skipped.csv       of an import: the files that could not be used, and why
//   warnings.csv      of an import: what the others are without, a line for each file and kind
//
// It is written under a temporary name and appears whole. Pictures are for other programs and for the eye:
// tokenize() takes its own from the mesh, in the tokenizer's size.

std::string view_name(const geometry::Camera& camera);  // "a030e30", "a345e-15"

struct SynthesisOptions {
  std::uint64_t seed = 1;
  std::vector<std::pair<Split, std::int64_t>> counts;  // objects per split; 0: the whole split
  int renders = 0;                                     // canonical views per object
  int render_size = 64;                                // pixels a side, 8 to 2,048
};
// Writes a part of the procedural world. Throws Error(usage) for more objects than a split has and for
// options out of range, Error(io), Error(interrupted).
void synthesise_data_set(const std::filesystem::path& out, const SynthesisOptions& options);

struct ImportFolder {
  std::filesystem::path folder;  // holds the meshes
  // CSV with the columns path (relative to folder) and caption, optionally class. Empty: every mesh below the
  // folder is taken, and its file name is its caption ("old_wooden-chair.glb": "old wooden chair").
  std::filesystem::path captions;
};
struct ImportOptions {
  std::vector<ImportFolder> folders;
  geometry::LabelMode label = geometry::LabelMode::automatic;
  float epsilon = geometry::MeshFieldOptions{}.epsilon;
  bool z_up = false;             // the files' up axis is Z instead of Y
  double held_out_share = 0.05;  // 0 to 1; by hash of the id -> Split::new_instance
  int renders = 0;               // canonical views per object
  int render_size = 64;          // pixels a side, 8 to 2,048
};
struct SkippedFile {
  std::string path;
  std::string reason;
};
struct FileWarning {
  std::string path;
  std::string warning;
};
struct ImportReport {
  std::int64_t imported = 0;
  std::map<std::string, std::int64_t> labels;  // imported meshes of each label mode, winding and flood
  std::vector<SkippedFile> skipped;
  std::vector<FileWarning> warnings;  // what files that were used are without
};
// Several rows with one path are several captions of one object. The class is the `class` column, or else the
// folder that the mesh lies in. objects.jsonl records for each mesh the label mode that was chosen. Meshes
// that cannot be read, or hold no triangles or no finite positions, are skipped, and bad rows left out with
// a warning. Throws Error(usage) for options out of range, Error(input) if no mesh is left or a CSV cannot be
// understood, Error(io), Error(interrupted).
ImportReport import_data_set(const std::filesystem::path& out, const ImportOptions& options);

// Reads such a folder. Everything but the mesh bytes is checked on opening; throws Error(io) or Error(input)
// naming file and line. A set of the procedural world gives the closed form as field if this program knows
// the same world, otherwise, as for imports, a MeshField with the label mode of the set.
class FolderSource : public ObjectSource {
 public:
  explicit FolderSource(const std::filesystem::path& folder, std::optional<Split> only = std::nullopt);
  ~FolderSource() override;

  std::int64_t size() const override;
  ObjectRecord load(std::int64_t index) const override;
  ObjectRecord describe(std::int64_t index) const override;  // longest_side_m included
  std::uint64_t fingerprint() const override;

  // The cameras of an object's stored renders, and one of these renders.
  std::vector<geometry::Camera> views(std::int64_t index) const;
  image::Image load_render(std::int64_t index, std::size_t view) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace omni::data
