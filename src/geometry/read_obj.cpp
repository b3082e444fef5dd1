#include <tiny_obj_loader.h>

#include <cmath>
#include <map>
#include <sstream>
#include <unordered_map>

#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "polygon.h"
#include "text_scanner.h"
#include "texture.h"

namespace omni::geometry {
namespace {

[[noreturn]] void refuse(const std::string& name, std::size_t line, const std::string& reason) {
  fail(ErrorKind::input, "cannot read OBJ ", name, ", line ", line, ": ", reason, ".");
}

Vec3 to_linear(Vec3 c) {
  return {image::srgb_to_linear(c.x), image::srgb_to_linear(c.y), image::srgb_to_linear(c.z)};
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view{} : text.substr(begin, end - begin + 1);
}

// The materials of the files that "mtllib" names. Colours are taken as sRGB, as most programs show them;
// where there is a texture, it alone counts, since exporters disagree on what its factor is.
class MaterialLibrary {
 public:
  MaterialLibrary(const std::string& name, std::filesystem::path folder)
      : name_(name), folder_(std::move(folder)) {}

  // One name, which may hold spaces, or several names.
  void load_all(const std::string& references) {
    if (references.find(' ') == std::string::npos ||
        std::filesystem::exists(resolve_reference(references, folder_, name_)))
      return load(references);
    std::string_view rest = references;
    for (std::string_view word = next_word(rest); !word.empty(); word = next_word(rest))
      load(std::string(word));
  }

  void load(const std::string& reference) {
    const std::filesystem::path path = resolve_reference(reference, folder_, name_);
    std::string text;
    try {
      text = read_file_text(path);
    } catch (const Error& error) {
      log_warning("mesh ", name_, " is read without its materials: ", error.what());
      return;
    }
    std::istringstream stream(text);
    std::map<std::string, int> indices;
    std::vector<tinyobj::material_t> materials;
    std::string warning, problem;
    tinyobj::LoadMtl(&indices, &materials, &stream, &warning, &problem);
    for (const auto& material : materials) add(material);
  }

  // Null where no library describes it.
  const Material* find(const std::string& material) const {
    const auto at = materials_.find(material);
    return at == materials_.end() ? nullptr : &at->second;
  }

 private:
  void add(const tinyobj::material_t& source) {
    Material& material = materials_[source.name];
    material.factor = to_linear({source.diffuse[0], source.diffuse[1], source.diffuse[2]});
    if (source.diffuse_texname.empty()) return;
    std::string reference = source.diffuse_texname;
    for (char& c : reference)
      if (c == '\\') c = '/';
    auto& texture = textures_[reference];
    if (!texture) {
      texture = std::make_unique<Texture>();
      const std::filesystem::path path = resolve_reference(reference, folder_, name_);
      try {
        texture->image = std::make_shared<const image::Image>(image::read_image(path));
      } catch (const Error& error) {
        log_warning("mesh ", name_, " is read without one of its textures: ", error.what());
      }
    }
    if (!texture->image) return;
    if (source.diffuse_texopt.clamp) texture->wrap_u = texture->wrap_v = TextureWrap::clamp_to_edge;
    material.texture = texture.get();
    material.factor = {1, 1, 1};
  }

  const std::string& name_;
  std::filesystem::path folder_;
  std::map<std::string, Material> materials_;
  std::map<std::string, std::unique_ptr<Texture>> textures_;
};

struct Corner {
  std::uint32_t position = 0;
  std::int64_t coordinate = -1, normal = -1;
  friend bool operator==(const Corner&, const Corner&) = default;
};
struct CornerHash {
  std::size_t operator()(const Corner& c) const {
    std::size_t hash = c.position * 0x9E3779B97F4A7C15ull;
    hash = (hash ^ std::size_t(c.coordinate)) * 0xBF58476D1CE4E5B9ull;
    return (hash ^ std::size_t(c.normal)) * 0x94D049BB133111EBull;
  }
};

// The faces of one material.
struct Group {
  std::vector<Corner> corners;  // three per triangle
};

class ObjReader {
 public:
  ObjReader(const std::string& name, const std::filesystem::path& folder)
      : name_(name), folder_(folder), library_(name, folder), group_(&groups_[""]) {}

  Mesh read(std::string_view text) {
    std::string joined;
    for (std::string_view line; next_line(text, line);) {
      ++line_;
      if (!line.empty() && line.back() == '\\') {
        joined.append(line.substr(0, line.size() - 1));
        joined.push_back(' ');
        continue;
      }
      if (joined.empty()) {
        statement(line);
      } else {
        joined.append(line);
        statement(joined);
        joined.clear();
      }
    }
    if (!joined.empty()) statement(joined);
    return assemble();
  }

 private:
  void statement(std::string_view line) {
    line = line.substr(0, line.find('#'));
    const std::string_view keyword = next_word(line);
    if (keyword == "v")
      position(line);
    else if (keyword == "vn")
      normals_.push_back(numbers3(line, 3));
    else if (keyword == "vt")
      coordinate(line);
    else if (keyword == "f")
      face(line);
    else if (keyword == "usemtl")
      group_ = &groups_[std::string(trimmed(line))];
    else if (keyword == "mtllib")
      material_library(std::string(trimmed(line)));
  }

  void material_library(const std::string& reference) {
    if (!folder_.empty() && !reference.empty()) library_.load_all(reference);
  }

  double number(std::string_view& line) {
    const auto value = parse_number<double>(next_word(line));
    if (!value || !std::isfinite(*value)) refuse(name_, line_, "a finite number is missing");
    return *value;
  }

  Vec3 numbers3(std::string_view& line, std::size_t count) {
    Vec3 result;
    for (std::size_t i = 0; i < count; ++i) result[i] = float(number(line));
    return result;
  }

  void position(std::string_view line) {
    positions_.push_back(numbers3(line, 3));
    // Three more numbers are a colour; a single one is a weight, which polygons do not use.
    float extra[4];
    std::size_t count = 0;
    while (!trimmed(line).empty() && count < 4) extra[count++] = float(number(line));
    const bool coloured = count >= 3;
    if (coloured) {
      const float* rgb = extra + (count - 3);
      colours_.resize(positions_.size() - 1, Vec3{1, 1, 1});
      colours_.push_back({rgb[0], rgb[1], rgb[2]});
    } else if (!colours_.empty()) {
      colours_.push_back({1, 1, 1});
    }
  }

  void coordinate(std::string_view line) {
    const auto u = float(number(line));
    const float v = trimmed(line).empty() ? 0 : float(number(line));
    coordinates_.push_back({u, 1 - v});  // the file's v grows upwards
  }

  // Counts from 1, or backwards from the latest element.
  std::int64_t resolve(std::string_view word, std::size_t count, const char* what) const {
    const auto value = parse_number<std::int64_t>(word);
    const std::int64_t n = std::int64_t(count);
    const std::int64_t index = !value                       ? -1
                               : *value > 0                 ? *value - 1
                               : *value < 0 && *value >= -n ? n + *value
                                                            : -1;
    if (index < 0 || index >= n)
      refuse(name_, line_,
             concat("a face names ", what, " \"", std::string(word.substr(0, 32)), "\" of ", count));
    return index;
  }

  Corner corner(std::string_view word) const {
    Corner result;
    const std::size_t first = word.find('/');
    result.position = std::uint32_t(resolve(word.substr(0, first), positions_.size(), "vertex"));
    if (first == std::string_view::npos) return result;
    const std::size_t second = word.find('/', first + 1);
    const std::string_view coordinate =
        word.substr(first + 1, second == std::string_view::npos ? second : second - first - 1);
    if (!coordinate.empty())
      result.coordinate = resolve(coordinate, coordinates_.size(), "texture coordinate");
    if (second != std::string_view::npos && second + 1 < word.size())
      result.normal = resolve(word.substr(second + 1), normals_.size(), "normal");
    return result;
  }

  void face(std::string_view line) {
    polygon_.clear();
    corner_positions_.clear();
    triangles_.clear();
    for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
      polygon_.push_back(corner(word));
      corner_positions_.push_back(positions_[polygon_.back().position]);
    }
    if (polygon_.size() < 3) refuse(name_, line_, "a face has fewer than three corners");
    triangulate_polygon(corner_positions_, triangles_);
    for (const auto& triangle : triangles_)
      for (const std::uint32_t i : triangle) group_->corners.push_back(polygon_[i]);
  }

  Primitive primitive_of(const Group& group, bool textured) const {
    Primitive primitive;
    bool with_normals = true, with_coordinates = textured;
    for (const Corner& c : group.corners) {
      with_normals &= c.normal >= 0;
      with_coordinates &= c.coordinate >= 0;
    }
    std::unordered_map<Corner, std::uint32_t, CornerHash> known;
    std::vector<std::uint32_t> indices;
    indices.reserve(group.corners.size());
    for (Corner c : group.corners) {
      if (!with_normals) c.normal = -1;
      if (!with_coordinates) c.coordinate = -1;
      const auto [at, is_new] = known.try_emplace(c, std::uint32_t(primitive.positions.size()));
      indices.push_back(at->second);
      if (!is_new) continue;
      primitive.positions.push_back(positions_[c.position]);
      if (with_normals) primitive.normals.push_back(normalised(normals_[std::size_t(c.normal)]));
      if (with_coordinates) primitive.coordinates.push_back(coordinates_[std::size_t(c.coordinate)]);
      if (!colours_.empty()) primitive.linear_colours.push_back(to_linear(colours_[c.position]));
    }
    for (std::size_t i = 0; i + 2 < indices.size(); i += 3)
      primitive.triangles.push_back({indices[i], indices[i + 1], indices[i + 2]});
    return primitive;
  }

  Mesh assemble() {
    if (!colours_.empty()) colours_.resize(positions_.size(), Vec3{1, 1, 1});
    bool coloured = !colours_.empty();
    Mesh mesh;
    for (const auto& [material_name, group] : groups_) {
      if (group.corners.empty()) continue;
      const Material* material = library_.find(material_name);
      coloured |= material != nullptr;
      // Vertex colours are the more specific statement: plain material colours give way to them.
      const bool textured = material && material->texture;
      const Material used = !material || (!textured && !colours_.empty()) ? Material{} : *material;
      append(mesh, bake_colours(primitive_of(group, textured), used));
    }
    if (!coloured) mesh.colours.clear();
    return mesh;
  }

  const std::string& name_;
  const std::filesystem::path& folder_;
  MaterialLibrary library_;
  std::size_t line_ = 0;
  std::vector<Vec3> positions_, normals_, colours_;
  std::vector<TextureCoordinate> coordinates_;
  std::map<std::string, Group> groups_;
  Group* group_;
  std::vector<Corner> polygon_;
  std::vector<Vec3> corner_positions_;
  std::vector<std::array<std::uint32_t, 3>> triangles_;
};

}  // namespace

Mesh read_obj(std::span<const std::byte> bytes, const std::string& name,
              const std::filesystem::path& folder) {
  Mesh mesh = ObjReader(name, folder).read(as_text(bytes));
  finish_read_mesh(mesh, name);
  return mesh;
}

}  // namespace omni::geometry
