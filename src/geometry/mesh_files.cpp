#include "omni/geometry/mesh_files.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "ply_file.h"
#include "weld.h"

namespace omni::geometry {
namespace {

namespace fs = std::filesystem;

bool finite(Vec3 v) { return std::isfinite(v.x) && std::isfinite(v.y) && std::isfinite(v.z); }

void drop_unused_vertices(Mesh& mesh) {
  constexpr std::uint32_t unused = UINT32_MAX;
  std::vector<std::uint32_t> renumbered(mesh.positions.size(), unused);
  for (const auto& triangle : mesh.triangles)
    for (const std::uint32_t index : triangle) renumbered[index] = 0;
  std::uint32_t kept = 0;
  for (std::size_t i = 0; i < renumbered.size(); ++i) {
    if (renumbered[i] == unused) continue;
    mesh.positions[kept] = mesh.positions[i];
    if (!mesh.colours.empty()) mesh.colours[kept] = mesh.colours[i];
    if (!mesh.normals.empty()) mesh.normals[kept] = mesh.normals[i];
    renumbered[i] = kept++;
  }
  if (kept == mesh.positions.size()) return;
  mesh.positions.resize(kept);
  if (!mesh.colours.empty()) mesh.colours.resize(kept);
  if (!mesh.normals.empty()) mesh.normals.resize(kept);
  for (auto& triangle : mesh.triangles)
    for (std::uint32_t& index : triangle) index = renumbered[index];
}

// Products of two floats are exact in double precision, and do not vanish. The first comparison tells most
// triangles.
bool has_no_area(const Mesh& mesh, const std::array<std::uint32_t, 3>& t) {
  const Vec3 &a = mesh.positions[t[0]], &b = mesh.positions[t[1]], &c = mesh.positions[t[2]];
  const double uy = double(b.y) - a.y, uz = double(b.z) - a.z;
  const double vy = double(c.y) - a.y, vz = double(c.z) - a.z;
  if (uy * vz != uz * vy) return false;
  const double ux = double(b.x) - a.x, vx = double(c.x) - a.x;
  return uz * vx == ux * vz && ux * vy == uy * vx;
}

// Triangles without an area of which a corner belongs to no other triangle.
void drop_lone_slivers(Mesh& mesh) {
  const Weld weld = weld_positions(mesh.positions);
  std::vector<bool> seen(weld.first_of.size(), false);
  for (const auto& triangle : mesh.triangles)
    if (!has_no_area(mesh, triangle))
      for (const std::uint32_t index : triangle) seen[weld.group_of[index]] = true;
  std::erase_if(mesh.triangles, [&](const std::array<std::uint32_t, 3>& triangle) {
    return has_no_area(mesh, triangle) &&
           std::any_of(triangle.begin(), triangle.end(),
                       [&](std::uint32_t index) { return !seen[weld.group_of[index]]; });
  });
}

}  // namespace

void finish_read_mesh(Mesh& mesh, const std::string& name, ReadNotes& notes) {
  if (mesh.triangles.empty()) fail(ErrorKind::input, "cannot read mesh ", name, ": it has no faces.");
  ensure(mesh.colours.empty() || mesh.colours.size() == mesh.positions.size(), "a mesh with too few colours");
  ensure(mesh.normals.empty() || mesh.normals.size() == mesh.positions.size(), "a mesh with too few normals");
  bool any_sliver = false;
  for (const auto& triangle : mesh.triangles) {
    for (const std::uint32_t index : triangle)
      if (index >= mesh.positions.size())
        fail(ErrorKind::input, "cannot read mesh ", name, ": a face names vertex ", index, " of ",
             mesh.positions.size(), ".");
    any_sliver = any_sliver || has_no_area(mesh, triangle);
  }
  const std::size_t before = mesh.triangles.size();
  if (any_sliver) drop_lone_slivers(mesh);
  if (mesh.triangles.empty())
    fail(ErrorKind::input, "cannot read mesh ", name, ": none of its faces has an area.");
  notes.add("is read without triangles that have no area and touch no others", "nobody sees them",
            before - mesh.triangles.size());
  drop_unused_vertices(mesh);
  for (const Vec3& p : mesh.positions)
    if (!finite(p))
      fail(ErrorKind::input, "cannot read mesh ", name,
           ": a vertex position is not a finite number. Repair it first.");
  for (Vec3& c : mesh.colours)
    for (std::size_t k = 0; k < 3; ++k)
      c[k] = c[k] > 0 ? std::min(c[k], 1.0f) : 0.0f;  // also turns NaN into 0
  if (!std::all_of(mesh.normals.begin(), mesh.normals.end(), finite)) {
    notes.add("is read without its normals", "one of them is no finite number");
    mesh.normals.clear();
  }
}

void check_written_mesh(const Mesh& mesh) {
  if (mesh.triangles.empty()) fail(ErrorKind::input, "cannot write a mesh: it has no faces.");
  for (const Vec3& p : mesh.positions)
    if (!finite(p)) fail(ErrorKind::input, "cannot write a mesh: a vertex position is not a finite number.");
  for (const auto& triangle : mesh.triangles)
    for (const std::uint32_t index : triangle)
      ensure(index < mesh.positions.size(), "a face names vertex ", index, " of ", mesh.positions.size());
  ensure(mesh.colours.empty() || mesh.colours.size() == mesh.positions.size(), "a mesh with too few colours");
  ensure(mesh.normals.empty() || mesh.normals.size() == mesh.positions.size(), "a mesh with too few normals");
}

namespace {

Mesh read_mesh_file(const fs::path& path, ReadNotes& notes) {
  const std::string name = path.string();
  const std::vector<std::byte> bytes = read_file_bytes(path);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const std::string extension = lower_extension(path);
  const auto starts_with = [&](std::string_view magic) {
    return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
  };
  if (extension == ".glb" || extension == ".gltf" || starts_with("glTF"))
    return read_gltf(bytes, name, folder, notes);
  if (extension == ".obj") return read_obj(bytes, name, folder, notes);
  if (extension == ".ply" || is_ply(bytes)) return read_ply(bytes, name, folder, notes);
  if (extension == ".stl") return read_stl(bytes, name, notes);
  return read_with_assimp(bytes, name, extension, folder, notes);
}

}  // namespace

Mesh read_mesh(const fs::path& path, std::vector<std::string>& warnings) {
  ReadNotes notes;
  Mesh mesh = read_mesh_file(path, notes);
  for (std::string& line : notes.lines()) warnings.push_back(std::move(line));
  return mesh;
}

Mesh read_mesh(const fs::path& path) {
  std::vector<std::string> warnings;
  Mesh mesh = read_mesh(path, warnings);
  for (const std::string& warning : warnings) log_warning("mesh ", path.string(), " ", warning);
  return mesh;
}

bool is_mesh_file(const fs::path& path) {
  static constexpr std::array<std::string_view, 12> kEndings = {
      ".glb", ".gltf", ".obj", ".ply", ".stl", ".off", ".dae", ".fbx", ".3ds", ".3mf", ".x3d", ".amf"};
  return std::find(kEndings.begin(), kEndings.end(), lower_extension(path)) != kEndings.end();
}

bool is_written_mesh_file(const fs::path& path) {
  static constexpr std::array<std::string_view, 4> kEndings = {".glb", ".obj", ".ply", ".stl"};
  return std::find(kEndings.begin(), kEndings.end(), lower_extension(path)) != kEndings.end();
}

std::vector<std::byte> encode_mesh(const Mesh& mesh, const fs::path& path) {
  const std::string extension = lower_extension(path);
  if (extension == ".glb") return encode_glb(mesh);
  if (extension == ".ply") return encode_ply(mesh);
  if (extension == ".stl") return encode_stl(mesh);
  if (extension == ".obj") {
    const std::string text = encode_obj(mesh);
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }
  fail(ErrorKind::usage, "cannot write mesh ", path.string(), ": the ending \"", extension,
       "\" is not known. Use .glb, .obj, .ply or .stl.");
}

void write_mesh(const fs::path& path, const Mesh& mesh) {
  const std::vector<std::byte> bytes = encode_mesh(mesh, path);
  write_file_atomically(path, std::span<const std::byte>(bytes));
}

}  // namespace omni::geometry
