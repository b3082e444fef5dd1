#include <algorithm>
#include <charconv>
#include <cmath>

#include "mesh_formats.h"
#include "omni/core/error.h"

namespace omni::geometry {
namespace {

// The shortest text that reads back as the same float.
void append_number(std::string& text, float value) {
  char buffer[32];
  text.push_back(' ');
  text.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

void append_numbers(std::string& text, Vec3 v) {
  append_number(text, v.x);
  append_number(text, v.y);
  append_number(text, v.z);
}

void append_text(std::vector<std::byte>& bytes, std::string_view text) {
  for (const char c : text) bytes.push_back(std::byte(c));
}

std::uint8_t to_byte(float colour) { return std::uint8_t(std::lround(255 * std::clamp(colour, 0.0f, 1.0f))); }

}  // namespace

std::string encode_obj(const Mesh& mesh) {
  check_written_mesh(mesh);
  std::string text = "# omni123: Y up; vertex colours are sRGB\n";
  text.reserve(mesh.positions.size() * 48 + mesh.triangles.size() * 24);
  for (std::size_t i = 0; i < mesh.positions.size(); ++i) {
    text.push_back('v');
    append_numbers(text, mesh.positions[i]);
    if (!mesh.colours.empty()) append_numbers(text, mesh.colours[i]);
    text.push_back('\n');
  }
  for (const Vec3& n : mesh.normals) {
    text += "vn";
    append_numbers(text, n);
    text.push_back('\n');
  }
  for (const auto& triangle : mesh.triangles) {
    text.push_back('f');
    for (const std::uint32_t index : triangle) {
      const std::string number = std::to_string(std::uint64_t(index) + 1);
      text += ' ' + number;
      if (!mesh.normals.empty()) text += "//" + number;
    }
    text.push_back('\n');
  }
  return text;
}

std::vector<std::byte> encode_ply(const Mesh& mesh) {
  check_written_mesh(mesh);
  std::vector<std::byte> bytes;
  bytes.reserve(512 + mesh.positions.size() * 27 + mesh.triangles.size() * 13);
  append_text(bytes, "ply\nformat binary_little_endian 1.0\ncomment omni123: Y up; colours are sRGB\n");
  append_text(bytes, concat("element vertex ", mesh.positions.size(), "\n"));
  append_text(bytes, "property float x\nproperty float y\nproperty float z\n");
  if (!mesh.normals.empty()) append_text(bytes, "property float nx\nproperty float ny\nproperty float nz\n");
  if (!mesh.colours.empty())
    append_text(bytes, "property uchar red\nproperty uchar green\nproperty uchar blue\n");
  append_text(bytes, concat("element face ", mesh.triangles.size(), "\n"));
  append_text(bytes, "property list uchar uint vertex_indices\nend_header\n");
  for (std::size_t i = 0; i < mesh.positions.size(); ++i) {
    append_bytes(bytes, mesh.positions[i]);
    if (!mesh.normals.empty()) append_bytes(bytes, mesh.normals[i]);
    if (!mesh.colours.empty())
      for (std::size_t c = 0; c < 3; ++c) append_bytes(bytes, to_byte(mesh.colours[i][c]));
  }
  for (const auto& triangle : mesh.triangles) {
    append_bytes(bytes, std::uint8_t(3));
    append_bytes(bytes, triangle);
  }
  return bytes;
}

std::vector<std::byte> encode_stl(const Mesh& mesh) {
  check_written_mesh(mesh);
  if (mesh.triangles.size() > UINT32_MAX) fail(ErrorKind::input, "cannot write STL: too many triangles.");
  std::vector<std::byte> bytes;
  bytes.reserve(84 + mesh.triangles.size() * 50);
  append_text(bytes, "omni123 mesh, Y up");  // must not begin with "solid", which marks the text form
  bytes.resize(80);
  append_bytes(bytes, std::uint32_t(mesh.triangles.size()));
  for (const auto& triangle : mesh.triangles) {
    const Vec3 a = mesh.positions[triangle[0]], b = mesh.positions[triangle[1]],
               c = mesh.positions[triangle[2]];
    append_bytes(bytes, normalised(cross(b - a, c - a)));
    append_bytes(bytes, a);
    append_bytes(bytes, b);
    append_bytes(bytes, c);
    append_bytes(bytes, std::uint16_t(0));
  }
  return bytes;
}

}  // namespace omni::geometry
