#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "commands.h"
#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/parallel.h"
#include "omni/core/text_format.h"
#include "omni/core/utf8.h"
#include "omni/generation/mesh_export.h"
#include "omni/geometry/mesh_field.h"
#include "omni/geometry/mesh_files.h"
#include "omni/geometry/mesh_health.h"
#include "omni/geometry/renderer.h"
#include "omni/geometry/shape_metrics.h"
#include "omni/geometry/simplification.h"
#include "omni/image/image.h"
#include "omni/image/label.h"
#include "options.h"
#include "result_file.h"

namespace omni::tools {
namespace {

using geometry::Mesh;

struct MeshArguments {
  std::vector<std::string> checked;
  std::string input, output, format, target;
  std::uint64_t faces = 0;
  double floater_share = 0;
  int views = 8;
  int size = 256;
  float azimuth = 0, elevation = 20;
  bool grey = false, fit = false, turntable = false;
  int frames = generation::Turntable{}.frames;
  std::uint64_t points = 8192;
  int grid = 64;
  std::uint64_t seed = 0;
};

void print_mesh_row(const char* name, const std::string& value) {
  std::printf("%-28s %s\n", name, value.c_str());
}

void print_health(const Mesh& mesh, const geometry::MeshHealth& health, std::int64_t self_intersections) {
  const geometry::Vec3 extent = mesh.positions.empty() ? geometry::Vec3{} : mesh.bounds().extent();
  print_mesh_row("triangles", std::to_string(health.triangles));
  print_mesh_row("vertices", std::to_string(health.vertices));
  print_mesh_row("components", std::to_string(health.components));
  print_mesh_row("size", concat(extent.x, " x ", extent.y, " x ", extent.z));
  print_mesh_row("area", concat(health.area));
  print_mesh_row("volume", concat(health.volume));
  print_mesh_row("boundary edges", std::to_string(health.boundary_edges));
  print_mesh_row("non-manifold edges", std::to_string(health.non_manifold_edges));
  print_mesh_row("misoriented edges", std::to_string(health.misoriented_edges));
  print_mesh_row("non-manifold vertices", std::to_string(health.non_manifold_vertices));
  print_mesh_row("degenerate triangles", std::to_string(health.degenerate_triangles));
  print_mesh_row("self-intersecting triangles", std::to_string(self_intersections));
  print_mesh_row("closed", health.closed() ? "yes" : "no");
  print_mesh_row("manifold", health.manifold() ? "yes" : "no");
  print_mesh_row("healthy", health.healthy() ? "yes" : "no");
  // What slicers ask for: one unambiguous inside.
  const bool printable = health.healthy() && health.volume > 0 && self_intersections == 0;
  print_mesh_row("printable", printable ? "yes" : "no");
}

// The exit code that the file alone would give.
int check_file(const std::string& file) {
  try {
    const Mesh mesh = geometry::read_mesh(file);
    const geometry::MeshHealth health = geometry::inspect(mesh);
    print_health(mesh, health, geometry::count_self_intersections(mesh));
    return health.healthy() ? kExitDone : kExitNo;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input && error.kind() != ErrorKind::io) throw;
    std::fflush(stdout);
    std::cerr << "omni: " << printable_message(error.what()) << '\n';
    return exit_code(error.kind());
  }
}

// A block per file.
void check(const MeshArguments& arguments) {
  int worst = kExitDone;
  for (const std::string& file : arguments.checked) {
    if (arguments.checked.size() > 1)
      std::printf("%s%s\n", &file == &arguments.checked.front() ? "" : "\n", file.c_str());
    worst = std::max(worst, check_file(file));
  }
  if (worst != kExitDone) throw CLI::RuntimeError(worst);
}

void convert(const MeshArguments& arguments) {
  const ResultFile out(arguments.output, arguments.format, "glb");
  out.write(geometry::encode_mesh(geometry::read_mesh(arguments.input), out.path()));
}

void simplify(const MeshArguments& arguments) {
  Mesh mesh = geometry::read_mesh(arguments.input);
  const std::size_t before = mesh.triangles.size();
  if (arguments.floater_share > 0) mesh = geometry::remove_floaters(mesh, arguments.floater_share);
  mesh = geometry::simplify(mesh, arguments.faces);
  geometry::write_mesh(arguments.output, mesh);
  const geometry::MeshHealth health = geometry::inspect(mesh);
  std::printf("%zu -> %zu triangles, %s and %s\n", before, mesh.triangles.size(),
              health.closed() ? "closed" : "open", health.manifold() ? "manifold" : "not manifold");
  if (mesh.triangles.size() > arguments.faces) {
    log_warning(
        "fewer collapses than asked for: more would break the surface, its borders or its colour seams");
  }
}

// Of one view that of training pictures, where it is not to be fitted; of several all at one distance.
std::vector<geometry::Camera> cameras_of(const MeshArguments& arguments, const Mesh& mesh) {
  std::vector<geometry::Camera> cameras;
  float distance = 0;
  for (int view = 0; view < arguments.views; ++view) {
    const float turned = 360.0f * float(view) / float(arguments.views);
    geometry::Camera camera{.azimuth_degrees = arguments.azimuth + turned,
                            .elevation_degrees = arguments.elevation};
    if (arguments.fit || arguments.views > 1) camera = fitted(camera, mesh.positions);
    distance = std::max(distance, camera.distance);
    cameras.push_back(camera);
  }
  for (geometry::Camera& camera : cameras) camera.distance = distance;
  return cameras;
}

void render(const MeshArguments& arguments) {
  const ResultFile out(arguments.output, arguments.format, "png");
  image::require_image_file(out.path());
  if (arguments.turntable && out.path().extension() != ".png")
    fail(ErrorKind::usage, "drawing a turntable: ", out.path(), " is no .png file, which can be animated.");
  Mesh mesh = geometry::read_mesh(arguments.input);
  geometry::normalise(mesh);
  if (arguments.turntable) {
    out.write(generation::encode_turntable(mesh, {.frames = arguments.frames,
                                                  .size = arguments.size,
                                                  .azimuth_degrees = arguments.azimuth,
                                                  .elevation_degrees = arguments.elevation,
                                                  .use_vertex_colours = !arguments.grey}));
    return;
  }
  const std::vector<geometry::Camera> cameras = cameras_of(arguments, mesh);
  const geometry::Renderer renderer(mesh);
  std::vector<image::Image> views(cameras.size());
  parallel_for(arguments.views, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      views[i] = renderer.render(
          cameras[i],
          {.width = arguments.size, .height = arguments.size, .use_vertex_colours = !arguments.grey});
      if (arguments.views > 1) views[i] = image::labelled(views[i], geometry::view_label(cameras[i]));
    }
  });
  out.write(image::encode_image(image::contact_sheet(views, std::min(arguments.views, 4)), out.path()));
}

void compare(const MeshArguments& arguments) {
  Mesh candidate = geometry::read_mesh(arguments.input);
  Mesh target = geometry::read_mesh(arguments.target);
  const auto surfaces =
      geometry::compare_surfaces(candidate, target, arguments.points, CounterRng(arguments.seed));
  // What chance alone does: no candidate can be told from the target below it.
  const auto floor = geometry::compare_surfaces(target, target, arguments.points, CounterRng(arguments.seed));
  geometry::normalise(candidate);
  geometry::normalise(target);
  const geometry::MeshField candidate_field(candidate), target_field(target);
  const auto print_sampled = [](const char* name, double value, double of_two_draws, int digits) {
    print_mesh_row(name, concat(with_decimals(value, digits), "   ", with_decimals(of_two_draws, digits)));
  };
  print_mesh_row("", "value    two draws of the target");
  print_sampled("CD-L1", surfaces.chamfer_l1, floor.chamfer_l1, 5);
  print_sampled("F-score at 1 %", surfaces.f_score_1, floor.f_score_1, 4);
  print_sampled("F-score at 2 %", surfaces.f_score_2, floor.f_score_2, 4);
  print_sampled("normal consistency", surfaces.normal_consistency, floor.normal_consistency, 4);
  print_mesh_row("volume IoU",
                 with_decimals(geometry::volume_iou(candidate_field, target_field, arguments.grid), 4));
  print_mesh_row("surface IoU",
                 with_decimals(geometry::surface_iou(candidate_field, target_field, arguments.grid), 4));
}

CLI::App* add(CLI::App& parent, const char* name, const char* description,
              const std::shared_ptr<MeshArguments>& arguments, void (*run)(const MeshArguments&)) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->callback([arguments, run] { run(*arguments); });
  return command;
}

}  // namespace

void add_mesh_command(CLI::App& app) {
  CLI::App* mesh = app.add_subcommand("mesh", "check, convert, simplify, render and compare mesh files");
  mesh->require_subcommand(1);
  const auto a = std::make_shared<MeshArguments>();

  CLI::App* command = add(
      *mesh, "check",
      "health report; exits with 0 if closed and manifold, 1 if not; of several files the worst", a, check);
  command->add_option("mesh", a->checked, "GLB, glTF, OBJ, PLY, STL, ...")->required();

  command = add(*mesh, "convert", "read one format, write another (.glb, .obj, .ply, .stl)", a, convert);
  command->add_option("mesh", a->input, "input file")->required();
  command->add_option("out", a->output, "output file; the extension chooses the format; - is standard output")
      ->required();
  add_format_option(*command, a->format, {"glb", "obj", "ply", "stl"});

  command =
      add(*mesh, "simplify", "collapse edges; closed manifold meshes stay closed and manifold", a, simplify);
  command->add_option("mesh", a->input, "input file")->required();
  command->add_option("out", a->output, "output file")->required();
  add_number(*command, "--faces", a->faces, {4, kCounts.maximum}, "triangles to keep")
      ->required()
      ->default_str("");
  add_number(*command, "--floaters", a->floater_share, kShares,
             "first drop components below this share of the largest volume");

  command = add(*mesh, "render", "contact sheet of views around the mesh, or a turntable", a, render);
  command->add_option("mesh", a->input, "input file")->required();
  command->add_option("--out", a->output, ".png, .jpg or .webp; - is standard output")->required();
  add_format_option(*command, a->format, {"png", "jpg", "webp"});
  add_number(*command, "--views", a->views, {1, 64}, "views, evenly around");
  add_number(*command, "--size", a->size, {16, 2048}, "pixels a side");
  add_number(*command, "--azimuth", a->azimuth, kAzimuths,
             "of the first view: degrees from the front (+Z) towards +X");
  add_number(*command, "--elevation", a->elevation, kElevations, "degrees above the ground");
  command->add_flag(
      "--fit", a->fit,
      "move the camera to where the mesh fills the picture, as for several views; else a single one is "
      "framed as training pictures are");
  command->add_flag("--turntable", a->turntable,
                    "an animated .png of one turn instead, fitted to the picture");
  add_number(*command, "--frames", a->frames, {2, 360}, "of a turntable");
  command->add_flag("--grey", a->grey, "grey material instead of the mesh's colours");

  command = add(*mesh, "compare", "surface and volume distance after scaling both to a longest side of 1.92",
                a, compare);
  command->add_option("mesh", a->input, "candidate")->required();
  command->add_option("target", a->target, "ground truth")->required();
  add_number(*command, "--points", a->points, {1, 1e7}, "surface samples on each");
  add_number(*command, "--grid", a->grid, {4, 512}, "cells per axis for the volume");
  add_number(*command, "--seed", a->seed, kSeeds, "of the samples");
}

}  // namespace omni::tools
