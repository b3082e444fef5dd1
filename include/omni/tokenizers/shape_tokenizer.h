#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "omni/geometry/solid_field.h"
#include "omni/geometry/surface_points.h"
#include "omni/kernels/tensor.h"
#include "omni/tokenizers/stored_tokenizer.h"

namespace omni::tokenizers {

// What a shape tokenizer looks at, in the normalised frame. Only the parts that ShapeInput asks for are
// filled.
struct ShapeSample {
  geometry::VoxelGrid grid;
  geometry::SurfacePoints surface;
};
struct ShapeInput {
  int grid_resolution = 0;  // 0: no grid needed
  float grid_half_extent = 1.0f;
  int grid_samples_per_axis = 1;  // occupancy samples in each cell and axis
  int surface_points = 0;         // 0: no surface points needed
  double sharp_edge_share = 0;    // of the surface points, those drawn on sharp edges where there are any
};

// Discrete codes of one shape. Any prefix of `geometry` whose length the tokenizer offers is a coarser shape.
// `colour` may be empty.
struct ShapeCodes {
  std::vector<std::int32_t> geometry;
  std::vector<std::int32_t> colour;
};

// A decoded shape: a field over the normalised frame.
class DecodedShape : public geometry::SolidField {
 public:
  // Positive inside; 0 is the surface. Thread-safe.
  virtual void values(std::span<const geometry::Vec3> points, std::span<float> values) const = 0;
  void occupancy(std::span<const geometry::Vec3> points, std::span<std::uint8_t> inside) const override;
  virtual bool has_colour() const = 0;  // false: colour() gives light grey
};

// One interface over both layouts, `grid` and `vecset`.
class ShapeTokenizer {
 public:
  virtual ~ShapeTokenizer() = default;

  virtual ShapeInput required_input() const = 0;
  virtual std::int64_t geometry_code_count() const = 0;  // at full length
  virtual std::int64_t geometry_vocabulary() const = 0;
  // Ascending; the last is geometry_code_count().
  virtual std::vector<std::int64_t> offered_lengths() const = 0;
  virtual std::int64_t colour_code_count() const = 0;  // 0: no colour
  virtual std::int64_t colour_vocabulary() const = 0;
  // The side of the code grid if geometry codes lie on one (code = (z * side + y) * side + x), else 0.
  virtual std::int64_t geometry_grid_side() const = 0;
  virtual std::int64_t colour_grid_side() const = 0;
  // [vocabulary, dim] fp32; the colour's is undefined without colour.
  virtual at::Tensor geometry_codebook() const = 0;
  virtual at::Tensor colour_codebook() const = 0;

  // Both give one result per input and throw Error(usage): for a sample without what
  // required_input() asks for; for a number of codes that is not offered or a code outside its vocabulary.
  virtual std::vector<ShapeCodes> encode(std::span<const ShapeSample> samples) const = 0;
  virtual std::vector<std::unique_ptr<DecodedShape>> decode(std::span<const ShapeCodes> codes) const = 0;

  // From here on encodes and decodes with products in `type`: fp32 (the default) or, where the layout can,
  // bf16, which is faster and gives most shapes nearly the same codes. Not while others use it. Throws
  // Error(usage) for a type that the layout does not know.
  virtual void compute_in(at::ScalarType type);
  // From here on encodes and decodes on that device; what goes in and what comes out stay on the host. Shapes that were
  // decoded before cannot be asked any more. Not while others use it. Throws Error(usage) for a device that the layout
  // does not know.
  virtual void to(at::Device device);

  virtual StoredTokenizer stored() const = 0;
  // Atomic; throws as write_tokenizer_folder().
  void save(const std::filesystem::path& folder) const { write_tokenizer_folder(folder, stored()); }
};

// A folder with config.yaml and weights.safetensors; the config's `layout` says which class it is. Throws
// Error(io) for a missing file, Error(input) for a damaged one or an unknown layout.
std::unique_ptr<ShapeTokenizer> load_shape_tokenizer(const std::filesystem::path& folder);

}  // namespace omni::tokenizers
