#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "omni/geometry/camera.h"
#include "omni/geometry/mesh.h"
#include "omni/geometry/mesh_health.h"
#include "omni/geometry/vector3.h"
#include "omni/image/image.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::generation {

struct MeshOptions {
  int resolution = 0;       // cells per axis; 0: what suits the tokenizer, where it is known, else 64
  bool with_colour = true;  // where the shape has colour
  bool keep_floaters = false;
  double floater_share = 0.02;  // components below this share of the largest one's volume are floaters
  std::size_t faces = 0;        // 0: as extracted
  bool smooth_surface = true;   // geometry::smooth, which keeps edges
  bool smooth_normals = true;
  bool level_feet = true;    // feet that nearly end at one height do so: see geometry/level_feet.h
  bool snap_to_box = false;  // stretches each axis to the box that the model named, where it named one
};
void validate(const MeshOptions& options);  // throws Error(usage)

// The cells per axis that suit a tokenizer: more where its field is continuous than where it is a grid.
int default_mesh_resolution(const tokenizers::ShapeTokenizer& tokenizer);

struct ExtractedMesh {
  geometry::Mesh mesh;          // empty where the field is nowhere inside
  geometry::MeshHealth health;  // of that mesh
  // Where the normalised frame lies in the mesh's coordinates; absent where it was stretched.
  std::optional<geometry::Normalisation> frame = {};

  bool empty() const { return mesh.triangles.empty(); }
};
// In the normalised frame. Closed and manifold, unless it is empty. `box_shares`: the extents of the box to
// snap to, as shares of the longest side.
ExtractedMesh extract_mesh(const tokenizers::DecodedShape& shape, const MeshOptions& options,
                           const std::optional<geometry::Vec3>& box_shares = {});

// Moves the mesh upwards or down so that its lowest point has Y = 0.
void stand_on_ground(ExtractedMesh& mesh);

// The bytes of a file of the mesh, whose ending says as what; .glb tells where the frame lies, by which the shape is read
// back (geometry/mesh_frame.h). Throws as geometry::encode_mesh().
std::vector<std::byte> encode_file(const ExtractedMesh& mesh, const std::filesystem::path& path);

// From the normalised frame to metres: the frame's longest side (1.92) becomes `longest_side_m`.
void scale_to_metres(ExtractedMesh& mesh, float longest_side_m);

// So many directions around an object; the distances are not set.
std::vector<geometry::Camera> views_around(int views);
// Pictures from these directions, `size` pixels a side, from one distance at which it fits
// into each.
std::vector<image::Image> render_around(const geometry::Mesh& mesh, int size, int views = 8);
// The same with geometry::view_label() in a strip below each.
std::vector<image::Image> labelled_around(const geometry::Mesh& mesh, int size, int views = 8);

// One turn around the mesh.
struct Turntable {
  int frames = 48, size = 256;                         // pixels a side
  float azimuth_degrees = 30, elevation_degrees = 20;  // of the first frame
  bool use_vertex_colours = true;
};
// From one distance and towards one point, so that the mesh stands still while it turns. Throws Error(usage) for
// more pixels than 2^27 together.
std::vector<image::Image> render_turntable(const geometry::Mesh& mesh, const Turntable& turntable);
// The same as an animated PNG of four seconds.
std::vector<std::byte> encode_turntable(const geometry::Mesh& mesh, const Turntable& turntable);

}  // namespace omni::generation
