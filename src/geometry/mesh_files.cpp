#include "omni/geometry/mesh_files.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/files.h"

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

// "%20" and the like; broken escapes stay as they are.
std::string decode_percent(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && std::isxdigit((unsigned char)text[i + 1]) &&
                        std::isxdigit((unsigned char)text[i + 2]);
    result.push_back(escape ? char(std::stoi(text.substr(i + 1, 2), nullptr, 16)) : text[i]);
    if (escape) i += 2;
  }
  return result;
}

}  // namespace

void finish_read_mesh(Mesh& mesh, const std::string& name) {
  if (mesh.triangles.empty()) fail(ErrorKind::input, "cannot read mesh ", name, ": it has no faces.");
  ensure(mesh.colours.empty() || mesh.colours.size() == mesh.positions.size(), "a mesh with too few colours");
  ensure(mesh.normals.empty() || mesh.normals.size() == mesh.positions.size(), "a mesh with too few normals");
  for (const auto& triangle : mesh.triangles)
    for (const std::uint32_t index : triangle)
      if (index >= mesh.positions.size())
        fail(ErrorKind::input, "cannot read mesh ", name, ": a face names vertex ", index, " of ",
             mesh.positions.size(), ".");
  drop_unused_vertices(mesh);
  for (const Vec3& p : mesh.positions)
    if (!finite(p))
      fail(ErrorKind::input, "cannot read mesh ", name,
           ": a vertex position is not a finite number. Repair it first.");
  for (Vec3& c : mesh.colours)
    for (std::size_t k = 0; k < 3; ++k)
      c[k] = c[k] > 0 ? std::min(c[k], 1.0f) : 0.0f;  // also turns NaN into 0
  if (!std::all_of(mesh.normals.begin(), mesh.normals.end(), finite)) mesh.normals.clear();
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

fs::path resolve_reference(const std::string& reference, const fs::path& folder, const std::string& name) {
  const std::string decoded = decode_percent(reference);
  const fs::path relative(decoded);
  const auto refuse = [&](const char* reason) {
    fail(ErrorKind::input, "cannot read mesh ", name, ": it refers to \"", reference, "\", ", reason,
         ". Only files in the mesh's own folder are read.");
  };
  if (decoded.empty() || decoded.find('\0') != std::string::npos) refuse("which is no file name");
  if (folder.empty()) refuse("but it was not read from a folder");
  if (decoded.find("://") != std::string::npos) refuse("which is on the network");
  if (relative.is_absolute() || decoded.find('\\') != std::string::npos) refuse("which is an absolute path");
  const fs::path normal = relative.lexically_normal();
  if (*normal.begin() == "..") refuse("which lies outside its folder");
  std::error_code error;
  const fs::path real = fs::weakly_canonical(folder / normal, error);
  const fs::path real_folder = error ? folder : fs::weakly_canonical(folder, error);
  if (error) refuse("which cannot be resolved");
  const fs::path inside = real.lexically_relative(real_folder);
  if (inside.empty() || *inside.begin() == "..") refuse("which lies outside its folder");
  return real;
}

Mesh read_mesh(const fs::path& path) {
  const std::string name = path.string();
  const std::vector<std::byte> bytes = read_file_bytes(path);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const std::string extension = lower_extension(path);
  const auto starts_with = [&](std::string_view magic) {
    return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
  };
  if (extension == ".glb" || extension == ".gltf" || starts_with("glTF"))
    return read_gltf(bytes, name, folder);
  if (extension == ".obj") return read_obj(bytes, name, folder);
  if (extension == ".ply" || starts_with("ply\n") || starts_with("ply\r")) return read_ply(bytes, name);
  if (extension == ".stl") return read_stl(bytes, name);
  return read_with_assimp(bytes, name, extension, folder);
}

bool is_mesh_file(const fs::path& path) {
  static constexpr std::array<std::string_view, 10> kEndings = {".glb", ".gltf", ".obj", ".ply", ".stl",
                                                                ".off", ".dae",  ".fbx", ".3ds", ".3mf"};
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
