#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <unordered_map>

#include "colour_range.h"
#include "mesh_formats.h"
#include "omni/core/error.h"
#include "ply_file.h"
#include "polygon.h"
#include "texture.h"
#include "texture_files.h"

namespace omni::geometry {
namespace {

struct VertexTarget {
  enum class Kind { position, normal, colour, coordinate } kind;
  std::size_t axis;
};

std::optional<VertexTarget> target_of(const std::string& property) {
  using enum VertexTarget::Kind;
  static const std::map<std::string, VertexTarget> names = {{"x", {position, 0}},
                                                            {"y", {position, 1}},
                                                            {"z", {position, 2}},
                                                            {"nx", {normal, 0}},
                                                            {"ny", {normal, 1}},
                                                            {"nz", {normal, 2}},
                                                            {"red", {colour, 0}},
                                                            {"green", {colour, 1}},
                                                            {"blue", {colour, 2}},
                                                            {"r", {colour, 0}},
                                                            {"g", {colour, 1}},
                                                            {"b", {colour, 2}},
                                                            {"diffuse_red", {colour, 0}},
                                                            {"diffuse_green", {colour, 1}},
                                                            {"diffuse_blue", {colour, 2}},
                                                            {"s", {coordinate, 0}},
                                                            {"t", {coordinate, 1}},
                                                            {"u", {coordinate, 0}},
                                                            {"v", {coordinate, 1}},
                                                            {"texture_u", {coordinate, 0}},
                                                            {"texture_v", {coordinate, 1}},
                                                            {"texture_s", {coordinate, 0}},
                                                            {"texture_t", {coordinate, 1}}};
  const auto at = names.find(property);
  if (at == names.end()) return std::nullopt;
  return at->second;
}

double colour_scale(PlyScalar type) {
  switch (type) {
    case PlyScalar::f32:
    case PlyScalar::f64:
      return 1;
    case PlyScalar::u16:
      return 1.0 / 65535;
    default:
      return 1.0 / 255;
  }
}

std::optional<std::size_t> colour_axis(const PlyProperty& property) {
  if (property.is_list) return std::nullopt;
  const auto target = target_of(property.name);
  return target && target->kind == VertexTarget::Kind::colour ? std::optional(target->axis) : std::nullopt;
}

// A face's own part of the surface, beside its corners.
struct FaceLook {
  Vec3 colour{1, 1, 1};
  std::size_t texture = 0;
  std::vector<float> coordinates;  // u, v of each corner, v upwards
};

struct ColouredVertex {
  std::uint32_t vertex = 0;
  Vec3 colour;
  friend bool operator==(const ColouredVertex&, const ColouredVertex&) = default;
};
struct ColouredVertexHash {
  std::size_t operator()(const ColouredVertex& v) const {
    std::size_t hash = v.vertex;
    for (std::size_t c = 0; c < 3; ++c)
      hash = (hash ^ std::bit_cast<std::uint32_t>(v.colour[c] + 0.0f)) * 0x9E3779B97F4A7C15ull;
    return hash;
  }
};

class PlyReader {
 public:
  PlyReader(const PlyHeader& header, const std::string& name, const std::filesystem::path& folder,
            ReadNotes& notes)
      : header_(header), name_(name), notes_(notes), values_(header, name) {
    TextureFiles files(folder, name, notes);
    if (has_coordinates())
      for (const std::string& texture : header.textures) textures_.push_back({files.read(texture)});
    else
      notes.add(kWithoutTextures, "it has no texture coordinates", header.textures.size());
    textured_ =
        std::any_of(textures_.begin(), textures_.end(), [](const Texture& t) { return t.image != nullptr; });
  }

  Mesh read() {
    // Faces that come before the vertices are read again, from the same place.
    std::vector<std::pair<const PlyElement*, PlyValues>> early;
    bool has_vertices = false;
    for (const PlyElement& element : header_.elements) {
      values_.check_count(element);
      if (element.name == "vertex" && !has_vertices) {
        read_vertices(element);
        has_vertices = true;
      } else if ((element.name == "face" || element.name == "tristrips") && has_vertices) {
        read_surface(element, values_);
      } else {
        if (element.name == "face" || element.name == "tristrips")
          early.emplace_back(&element, values_);
        else
          notes_.add("is read without elements of unknown kinds", element.name, element.count);
        values_.skip(element);
      }
    }
    for (auto& [element, values] : early) read_surface(*element, values);
    if (!looks_.empty()) return assemble();
    return std::move(mesh_);
  }

 private:
  bool has_coordinates() const {
    for (const PlyElement& element : header_.elements)
      for (const PlyProperty& property : element.properties) {
        const auto target = property.is_list ? std::nullopt : target_of(property.name);
        if (element.name == "face" && property.is_list && property.name == "texcoord") return true;
        if (element.name == "vertex" && target && target->kind == VertexTarget::Kind::coordinate) return true;
      }
    return false;
  }

  void read_vertices(const PlyElement& element) {
    using enum VertexTarget::Kind;
    bool has_position = false, has_normal = false, has_colour = false, has_coordinate = false,
         unit_range = false;
    std::vector<std::optional<VertexTarget>> targets;
    for (const PlyProperty& property : element.properties) {
      targets.push_back(property.is_list ? std::nullopt : target_of(property.name));
      if (targets.back() && targets.back()->kind == coordinate && !textured_) targets.back().reset();
      if (!targets.back()) continue;
      has_position |= targets.back()->kind == position;
      has_normal |= targets.back()->kind == normal;
      has_colour |= targets.back()->kind == colour;
      has_coordinate |= targets.back()->kind == coordinate;
      unit_range |= targets.back()->kind == colour && colour_scale(property.type) == 1;
    }
    if (!has_position) refuse_ply(name_, "its vertices have no positions");
    mesh_.positions.resize(element.count);
    if (has_normal) mesh_.normals.resize(element.count);
    if (has_colour) mesh_.colours.resize(element.count);
    if (has_coordinate) coordinates_.resize(element.count);
    for (std::size_t i = 0; i < element.count; ++i) {
      for (std::size_t k = 0; k < targets.size(); ++k) {
        const PlyProperty& property = element.properties[k];
        std::size_t values = property.is_list ? values_.read_list_length(property) : 1;
        for (; values > 0; --values) {
          const double value = values_.read(property.type);
          if (!targets[k]) continue;
          const std::size_t axis = targets[k]->axis;
          switch (targets[k]->kind) {
            case position:
              mesh_.positions[i][axis] = float(value);
              break;
            case normal:
              mesh_.normals[i][axis] = float(value);
              break;
            case colour:
              mesh_.colours[i][axis] = float(value * colour_scale(property.type));
              break;
            case coordinate:
              (axis == 0 ? coordinates_[i].u : coordinates_[i].v) = float(axis == 0 ? value : 1 - value);
              break;
          }
        }
      }
    }
    if (unit_range)
      notes_.add("is read without vertex colours that are no finite numbers", "its vertices",
                 bring_to_unit_range(mesh_.colours));
    if (!std::all_of(coordinates_.begin(), coordinates_.end(), is_finite)) {
      notes_.add("is read without the texture coordinates of its vertices",
                 "one of them is no finite number");
      coordinates_.clear();
    }
  }

  static bool is_finite(TextureCoordinate at) { return std::isfinite(at.u) && std::isfinite(at.v); }

  void read_surface(const PlyElement& element, PlyValues& values) {
    if (element.properties.empty()) return;  // of which any number takes no bytes
    if (element.name == "tristrips")
      read_strips(element, values);
    else
      read_faces(element, values);
  }

  static bool is_index_list(const PlyProperty& property) {
    return property.is_list && (property.name == "vertex_indices" || property.name == "vertex_index" ||
                                property.name == "vertex_indexes");
  }

  std::uint32_t checked_index(double index) const {
    if (!(index >= 0) || index >= double(mesh_.positions.size()) || index != std::floor(index))
      refuse_ply(name_, concat("a face names vertex ", index, " of ", mesh_.positions.size()));
    return std::uint32_t(index);
  }

  // What of the faces' own looks is read: textures show before vertex colours, these before the faces'
  // colours.
  bool wants_looks(const PlyElement& element) {
    const auto any = [&](const auto& holds) {
      return std::any_of(element.properties.begin(), element.properties.end(), holds);
    };
    const bool coloured = any([](const PlyProperty& p) { return colour_axis(p).has_value(); });
    if (coloured && (textured_ || !mesh_.colours.empty()))
      notes_.add("is read without the colours of its faces", "its vertices or a texture have others",
                 element.count);
    if (textured_ && !mesh_.colours.empty())
      notes_.add("is read without the colours of its vertices", "a texture shows", mesh_.colours.size());
    return textured_ || (coloured && mesh_.colours.empty());
  }

  enum class FaceRole { none, indices, coordinates, texture, red, green, blue };

  static FaceRole role_of(const PlyProperty& property, bool with_looks) {
    if (is_index_list(property)) return FaceRole::indices;
    if (!with_looks) return FaceRole::none;
    if (property.is_list) return property.name == "texcoord" ? FaceRole::coordinates : FaceRole::none;
    if (property.name == "texnumber") return FaceRole::texture;
    const auto axis = colour_axis(property);
    return axis ? std::array{FaceRole::red, FaceRole::green, FaceRole::blue}[*axis] : FaceRole::none;
  }

  void take_face_value(FaceRole role, PlyScalar type, double value, FaceLook& look) {
    switch (role) {
      case FaceRole::indices:
        polygon_.push_back(checked_index(value));
        break;
      case FaceRole::coordinates:
        look.coordinates.push_back(float(value));
        break;
      case FaceRole::texture:
        look.texture =
            value >= 0 && value < 1e9 ? std::size_t(value) : std::numeric_limits<std::size_t>::max();
        break;
      case FaceRole::red:
      case FaceRole::green:
      case FaceRole::blue:
        look.colour[std::size_t(role) - std::size_t(FaceRole::red)] = float(value * colour_scale(type));
        break;
      case FaceRole::none:
        break;
    }
  }

  void read_faces(const PlyElement& element, PlyValues& values) {
    const bool with_looks = wants_looks(element);
    std::vector<FaceRole> roles;
    for (const PlyProperty& property : element.properties) roles.push_back(role_of(property, with_looks));
    FaceLook look;
    for (std::size_t i = 0; i < element.count; ++i) {
      polygon_.clear();
      look.coordinates.clear();
      for (std::size_t k = 0; k < roles.size(); ++k) {
        const PlyProperty& property = element.properties[k];
        std::size_t left = property.is_list ? values.read_list_length(property) : 1;
        for (; left > 0; --left) take_face_value(roles[k], property.type, values.read(property.type), look);
      }
      add_polygon(with_looks ? &look : nullptr);
    }
  }

  void add_polygon(const FaceLook* look) {
    if (polygon_.size() < 3) {
      notes_.add("is read without faces of fewer than three corners", "its faces");
      return;
    }
    if (!look && polygon_.size() == 3) {
      mesh_.triangles.push_back({polygon_[0], polygon_[1], polygon_[2]});
      return;
    }
    corners_.clear();
    triangles_.clear();
    for (const std::uint32_t v : polygon_) corners_.push_back(mesh_.positions[v]);
    triangulate_polygon(corners_, triangles_);
    for (const auto& t : triangles_)
      mesh_.triangles.push_back({polygon_[t[0]], polygon_[t[1]], polygon_[t[2]]});
    if (!look) return;
    looks_.resize(mesh_.triangles.size() - triangles_.size());
    const bool own = look->coordinates.size() >= 2 * polygon_.size();
    for (const auto& t : triangles_) {
      TriangleLook& triangle = looks_.emplace_back();
      triangle.colour = look->colour;
      triangle.texture = textured_ && look->texture < textures_.size() ? &textures_[look->texture] : nullptr;
      for (std::size_t k = 0; k < 3; ++k) {
        if (own)
          triangle.coordinates[k] = {look->coordinates[2 * t[k]], 1 - look->coordinates[2 * t[k] + 1]};
        else if (!coordinates_.empty())
          triangle.coordinates[k] = coordinates_[polygon_[t[k]]];
        else
          triangle.texture = nullptr;
      }
      if (triangle.texture && !triangle.texture->image) triangle.texture = nullptr;
      if (!std::all_of(triangle.coordinates.begin(), triangle.coordinates.end(), is_finite))
        triangle.texture = nullptr;
    }
  }

  // Strips follow each other in one list, with -1 between them.
  void read_strips(const PlyElement& element, PlyValues& values) {
    const FaceLook first_texture;
    const FaceLook* look = textured_ && wants_looks(element) ? &first_texture : nullptr;
    for (std::size_t i = 0; i < element.count; ++i)
      for (const PlyProperty& property : element.properties) {
        std::size_t left = property.is_list ? values.read_list_length(property) : 1;
        std::size_t held = 0;
        std::uint32_t before[2] = {};
        for (; left > 0; --left) {
          const double value = values.read(property.type);
          if (!is_index_list(property)) continue;
          if (value == -1 || (property.type == PlyScalar::u32 && value == double(UINT32_MAX))) {
            held = 0;
            continue;
          }
          const std::uint32_t index = checked_index(value);
          const bool stitch = before[0] == before[1] || before[1] == index || index == before[0];
          if (held >= 2 && !stitch) {
            const bool even = held % 2 == 0;
            polygon_ = {before[even ? 0 : 1], before[even ? 1 : 0], index};
            add_polygon(look);
          }
          before[0] = before[1];
          before[1] = index;
          ++held;
        }
      }
  }

  Mesh assemble() {
    looks_.resize(mesh_.triangles.size());
    return textured_ ? assemble_textured() : assemble_coloured();
  }

  // Vertices where faces of two colours meet become two.
  Mesh assemble_coloured() {
    std::vector<Vec3> colours;
    for (const TriangleLook& look : looks_) colours.push_back(look.colour);
    notes_.add("is read without face colours that are no finite numbers", "its faces",
               bring_to_unit_range(colours));
    Mesh result;
    std::unordered_map<ColouredVertex, std::uint32_t, ColouredVertexHash> known;
    for (std::size_t i = 0; i < mesh_.triangles.size(); ++i) {
      std::array<std::uint32_t, 3>& made = result.triangles.emplace_back();
      for (std::size_t k = 0; k < 3; ++k) {
        const std::uint32_t vertex = mesh_.triangles[i][k];
        const auto [at, is_new] =
            known.try_emplace({vertex, colours[i]}, std::uint32_t(result.positions.size()));
        made[k] = at->second;
        if (!is_new) continue;
        result.positions.push_back(mesh_.positions[vertex]);
        result.colours.push_back(colours[i]);
        if (!mesh_.normals.empty()) result.normals.push_back(mesh_.normals[vertex]);
      }
    }
    return result;
  }

  Mesh assemble_textured() {
    std::map<const Texture*, Primitive> parts;
    std::size_t plain = 0;
    for (std::size_t i = 0; i < mesh_.triangles.size(); ++i) {
      Primitive& part = parts[looks_[i].texture];
      plain += looks_[i].texture == nullptr;
      const auto first = std::uint32_t(part.positions.size());
      for (std::size_t k = 0; k < 3; ++k) {
        const std::uint32_t vertex = mesh_.triangles[i][k];
        part.positions.push_back(mesh_.positions[vertex]);
        if (!mesh_.normals.empty()) part.normals.push_back(mesh_.normals[vertex]);
        part.coordinates.push_back(looks_[i].coordinates[k]);
      }
      part.triangles.push_back({first, first + 1, first + 2});
    }
    notes_.add("is read without the texture of faces that name none or have no finite texture coordinates",
               "its faces", plain);
    // In the order of the textures, not of their places in memory.
    Mesh result;
    if (const auto at = parts.find(nullptr); at != parts.end()) append(result, bake_colours(at->second, {}));
    for (const Texture& texture : textures_)
      if (const auto at = parts.find(&texture); at != parts.end())
        append(result, bake_colours(at->second, {{1, 1, 1}, &texture}));
    return result;
  }

  struct TriangleLook {
    Vec3 colour{1, 1, 1};
    const Texture* texture = nullptr;
    std::array<TextureCoordinate, 3> coordinates{};
  };

  const PlyHeader& header_;
  const std::string& name_;
  ReadNotes& notes_;
  PlyValues values_;
  Mesh mesh_;
  std::vector<TextureCoordinate> coordinates_;  // per vertex
  std::vector<Texture> textures_;
  bool textured_ = false;
  std::vector<TriangleLook> looks_;  // per triangle, up to the last that has one
  std::vector<std::uint32_t> polygon_;
  std::vector<Vec3> corners_;
  std::vector<std::array<std::uint32_t, 3>> triangles_;
};

}  // namespace

Mesh read_ply(std::span<const std::byte> bytes, const std::string& name, const std::filesystem::path& folder,
              ReadNotes& notes) {
  const PlyHeader header = parse_ply_header(bytes, name);
  Mesh mesh = PlyReader(header, name, folder, notes).read();
  finish_read_mesh(mesh, name, notes);
  return mesh;
}

}  // namespace omni::geometry
