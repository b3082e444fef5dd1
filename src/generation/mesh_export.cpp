#include "omni/generation/mesh_export.h"

#include <algorithm>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/parallel.h"
#include "omni/geometry/iso_surface.h"
#include "omni/geometry/level_feet.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/mesh_frame.h"
#include "omni/geometry/renderer.h"
#include "omni/geometry/simplification.h"
#include "omni/geometry/smoothing.h"
#include "omni/image/label.h"

namespace omni::generation {
namespace {

constexpr int kFinestMesh = 512;
// Below this a dense grid is cheap and cannot miss small parts.
constexpr int kDenseResolution = 96;
constexpr int kGridResolution = 64;

void snap(geometry::Mesh& mesh, geometry::Vec3 shares) {
  const geometry::Bounds bounds = mesh.bounds();
  const geometry::Vec3 extent = bounds.extent(), centre = bounds.centre();
  geometry::Vec3 factor{1, 1, 1};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const float target = shares[axis] * geometry::kNormalisedLongestSide;
    if (extent[axis] > 0 && target > 0) factor[axis] = target / extent[axis];
  }
  for (geometry::Vec3& position : mesh.positions) position = (position - centre) * factor;
}

// Keeps the mesh as it is where fewer triangles would cost its closedness.
void reduce(geometry::Mesh& mesh, std::size_t faces) {
  geometry::Mesh reduced = geometry::simplify(mesh, faces);
  const geometry::MeshHealth health = geometry::inspect(reduced);
  if (health.healthy()) mesh = std::move(reduced);
}

std::vector<image::Image> render_all(const geometry::Mesh& mesh, const std::vector<geometry::Camera>& cameras,
                                     const geometry::RenderOptions& options) {
  const geometry::Renderer renderer(mesh);
  std::vector<image::Image> images(cameras.size());
  parallel_for(static_cast<std::int64_t>(cameras.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t view = begin; view < end; ++view)
      images[static_cast<std::size_t>(view)] =
          renderer.render(cameras[static_cast<std::size_t>(view)], options);
  });
  return images;
}

}  // namespace

void validate(const MeshOptions& options) {
  if (options.resolution != 0 && (options.resolution < 8 || options.resolution > kFinestMesh)) {
    fail(ErrorKind::usage, "choosing a mesh resolution: ", options.resolution,
         " cells per axis are not possible. Choose 8 to ", kFinestMesh,
         ", or 0 for what suits the tokenizer.");
  }
  if (options.faces != 0 && options.faces < 4) {
    fail(ErrorKind::usage, "choosing a number of faces: no closed mesh has ", options.faces,
         ". Choose 4 or more.");
  }
}

int default_mesh_resolution(const tokenizers::ShapeTokenizer& tokenizer) {
  return tokenizer.geometry_grid_side() > 0 ? kGridResolution : 128;
}

ExtractedMesh extract_mesh(const tokenizers::DecodedShape& shape, const MeshOptions& options,
                           const std::optional<geometry::Vec3>& box_shares) {
  validate(options);
  geometry::IsoSurfaceOptions surface;
  surface.resolution = options.resolution != 0 ? options.resolution : kGridResolution;
  surface.coarse_factor = surface.resolution <= kDenseResolution || surface.resolution % 4 != 0 ? 1 : 4;
  const auto field = [&](std::span<const geometry::Vec3> points, std::span<float> values) {
    shape.values(points, values);
  };
  ExtractedMesh extracted{.mesh = geometry::extract_iso_surface(field, surface).mesh, .health = {}};
  geometry::Mesh& mesh = extracted.mesh;
  if (mesh.triangles.empty()) return extracted;
  extracted.frame = geometry::Normalisation();
  if (!options.keep_floaters) mesh = geometry::remove_floaters(mesh, options.floater_share);
  if (options.smooth_surface) geometry::smooth(mesh);
  if (options.faces > 0 && mesh.triangles.size() > options.faces) reduce(mesh, options.faces);
  if (options.with_colour && shape.has_colour()) {
    mesh.colours.resize(mesh.positions.size());
    shape.colour(mesh.positions, mesh.colours);
  }
  if (options.snap_to_box && box_shares) {
    snap(mesh, *box_shares);
    extracted.frame.reset();
  }
  if (options.level_feet) geometry::level_feet(mesh);
  if (options.smooth_normals) geometry::compute_smooth_normals(mesh);
  extracted.health = geometry::inspect(mesh);
  return extracted;
}

void stand_on_ground(ExtractedMesh& extracted) {
  const float ground = extracted.mesh.bounds().low.y;
  for (geometry::Vec3& position : extracted.mesh.positions) position.y -= ground;
  if (extracted.frame) extracted.frame->centre.y -= ground;
}

std::vector<std::byte> encode_file(const ExtractedMesh& mesh, const std::filesystem::path& path) {
  return mesh.frame && lower_extension(path) == ".glb" ? geometry::encode_glb(mesh.mesh, *mesh.frame)
                                                       : geometry::encode_mesh(mesh.mesh, path);
}

void scale_to_metres(ExtractedMesh& extracted, float longest_side_m) {
  const float scale = longest_side_m / geometry::kNormalisedLongestSide;
  for (geometry::Vec3& position : extracted.mesh.positions) position *= scale;
  if (extracted.frame) {
    extracted.frame->centre *= scale;
    extracted.frame->scale /= scale;
  }
  const double factor = scale;
  extracted.health.area *= factor * factor;
  extracted.health.volume *= factor * factor * factor;
}

std::vector<geometry::Camera> views_around(int views) {
  std::vector<geometry::Camera> cameras;
  for (int view = 0; view < views; ++view)
    cameras.push_back(
        {.azimuth_degrees = 30.0f + 360.0f * static_cast<float>(view) / static_cast<float>(views),
         .elevation_degrees = 20.0f});
  return cameras;
}

std::vector<image::Image> render_around(const geometry::Mesh& mesh, int size, int views) {
  std::vector<geometry::Camera> cameras = views_around(views);
  float distance = 0;
  for (geometry::Camera& camera : cameras) {
    camera = fitted(camera, mesh.positions);
    distance = std::max(distance, camera.distance);
  }
  for (geometry::Camera& camera : cameras) camera.distance = distance;
  return render_all(mesh, cameras, {.width = size, .height = size});
}

std::vector<image::Image> labelled_around(const geometry::Mesh& mesh, int size, int views) {
  std::vector<image::Image> images = render_around(mesh, size, views);
  const std::vector<geometry::Camera> cameras = views_around(views);
  for (std::size_t view = 0; view < images.size(); ++view)
    images[view] = image::labelled(images[view], geometry::view_label(cameras[view]));
  return images;
}

std::vector<image::Image> render_turntable(const geometry::Mesh& mesh, const Turntable& turntable) {
  constexpr std::int64_t kMaximumPixels = std::int64_t{1} << 27;
  const auto [frames, size, azimuth, elevation, coloured] = turntable;
  if (frames < 1 || size < 1 || frames > kMaximumPixels / (static_cast<std::int64_t>(size) * size))
    fail(ErrorKind::usage, "drawing a turntable: ", frames, " frames of ", size, " x ", size,
         " pixels are too many or none. Choose other numbers.");
  const geometry::Vec3 centre = mesh.bounds().centre();
  std::vector<geometry::Camera> cameras;
  float distance = 0;
  for (int frame = 0; frame < frames; ++frame) {
    const float turned = 360.0f * static_cast<float>(frame) / static_cast<float>(frames);
    cameras.push_back(
        {.azimuth_degrees = azimuth + turned, .elevation_degrees = elevation, .target = centre});
    distance = std::max(distance, geometry::fitting_distance(cameras.back(), mesh.positions));
  }
  for (geometry::Camera& camera : cameras) camera.distance = distance;
  return render_all(mesh, cameras, {.width = size, .height = size, .use_vertex_colours = coloured});
}

std::vector<std::byte> encode_turntable(const geometry::Mesh& mesh, const Turntable& turntable) {
  constexpr int kMilliseconds = 4000;
  return image::encode_animated_png(render_turntable(mesh, turntable), kMilliseconds / turntable.frames);
}

}  // namespace omni::generation
