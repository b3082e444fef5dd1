#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "omni/geometry/mesh.h"
#include "omni/geometry/shape_metrics.h"
#include "omni/geometry/solid_field.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::generation {

// A shape that goes through a tokenizer, in the normalised frame. Nothing is owned.
struct OriginalShape {
  const geometry::Mesh& mesh;
  const geometry::SolidField& field;
  const tokenizers::ShapeSample& sample;    // what the tokenizer sees
  const geometry::SurfacePoints& coloured;  // where colours are compared
};

// What comes back, at one number of geometry codes.
struct Reconstruction {
  tokenizers::ShapeCodes codes;
  std::unique_ptr<tokenizers::DecodedShape> shape;
  double volume_iou = 0;               // on a 64^3 grid
  std::optional<double> colour_error;  // geometry::mean_colour_error; absent without colour codes
  // With options.surfaces:
  geometry::Mesh mesh;                                 // empty where the codes describe an empty shape
  std::optional<geometry::SurfaceComparison> surface;  // over 8,192 points; absent for an empty mesh
};

struct ShapeReconstruction {
  std::vector<Reconstruction> lengths;  // one for each that the tokenizer offers, ascending
  double thickness = 0;                 // geometry::mean_thickness of the original; with options.surfaces
  double encode_ms = 0, decode_ms = 0;  // wall time in milliseconds; decoding at full length
};

struct ReconstructionOptions {
  bool surfaces = false;  // extract meshes at the tokenizer's own resolution, and compare them
  CounterRng surface_points{0};
};

// Encodes once and decodes at every length that the tokenizer offers. Throws as the tokenizer does.
ShapeReconstruction reconstruct(const tokenizers::ShapeTokenizer& tokenizer, const OriginalShape& original,
                                const ReconstructionOptions& options = {});

}  // namespace omni::generation
