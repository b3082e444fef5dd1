// Where `omni sample` puts what it made: files by extension, numbered where there are several.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "omni/generation/mesh_export.h"
#include "omni/generation/pipeline.h"

namespace omni::tools {

// What an extension holds: .txt text, .png image, .glb .obj .ply .stl shape. Throws Error(usage) for others.
sequence::Modality modality_of_output(const std::filesystem::path& path);

struct SampleOutput {
  std::filesystem::path out;      // empty: texts to standard output
  std::filesystem::path preview;  // empty: none
  std::filesystem::path codes;    // empty: none
  generation::MeshOptions mesh;
  bool snap_to_box = false;
  std::int64_t count = 1;

  // Throws Error(usage) for an extension that does not fit what the task makes, Error(io) for folders that
  // cannot be written to; before any work.
  void check(const sequence::Task& task) const;
  // Writes one sample's files and returns its pictures for the preview (none where it has no shape).
  // Throws Error(input) where the sample has no surface.
  std::vector<image::Image> write(const generation::GeneratedSample& sample) const;
};

}  // namespace omni::tools
