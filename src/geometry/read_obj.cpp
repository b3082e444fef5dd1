#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <unordered_map>

#include "colour_range.h"
#include "linear_colour.h"
#include "mesh_formats.h"
#include "obj_materials.h"
#include "omni/core/error.h"
#include "polygon.h"
#include "text_scanner.h"
#include "texture.h"

namespace omni::geometry {
namespace {

constexpr const char* kWithoutNormals = "is read without normals that are no finite numbers or do not exist";
constexpr const char* kWithoutCoordinates =
    "is read without texture coordinates that are no finite numbers or do not exist";

// Of vertices without a colour among others with one: white, whatever these count to.
constexpr Vec3 kNoColour{NAN, NAN, NAN};

[[noreturn]] void refuse(const std::string& name, std::size_t line, const std::string& reason) {
  fail(ErrorKind::input, "cannot read OBJ ", name, ", line ", line, ": ", reason, ".");
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t") == std::string_view::npos; }

// Indices from 0, into what may come later in the file.
using Index = std::int32_t;
struct Corner {
  Index position = 0, coordinate = -1, normal = -1;
  friend bool operator==(const Corner&, const Corner&) = default;
};
struct CornerHash {
  std::size_t operator()(const Corner& c) const {
    std::size_t hash = std::size_t(c.position) * 0x9E3779B97F4A7C15ull;
    hash = (hash ^ std::size_t(c.coordinate)) * 0xBF58476D1CE4E5B9ull;
    return (hash ^ std::size_t(c.normal)) * 0x94D049BB133111EBull;
  }
};

// The faces of one material.
struct Group {
  std::vector<Corner> corners;  // three per triangle
};

// A face whose vertices come after it: a range of `early_corners_`.
struct EarlyFace {
  Group* group = nullptr;
  std::size_t first = 0, count = 0, line = 0;
};

class ObjReader {
 public:
  ObjReader(const std::string& name, const std::filesystem::path& folder, ReadNotes& notes)
      : name_(name), notes_(notes), library_(name, folder, notes), group_(&groups_[""]) {}

  Mesh read(std::string_view text) {
    std::string joined;
    for (std::string_view line; next_line(text, line);) {
      ++line_;
      // The back slash that a comment ends in belongs to it.
      if (!line.empty() && line.back() == '\\' && line.find('#') == line.npos) {
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
    for (const EarlyFace& face : early_)
      add_face(*face.group, std::span(early_corners_).subspan(face.first, face.count), face.line);
    return assemble();
  }

 private:
  void statement(std::string_view line) {
    const std::string_view keyword = next_word(line);
    if (keyword.empty() || keyword.front() == '#') return;
    if (equal_words(keyword, "v"))
      position(without_comment(line));
    else if (equal_words(keyword, "f") || equal_words(keyword, "fo"))
      face(without_comment(line));
    else if (equal_words(keyword, "vn"))
      normals_.push_back(optional_numbers(without_comment(line), 3, kWithoutNormals));
    else if (equal_words(keyword, "vt"))
      coordinate(without_comment(line));
    else if (equal_words(keyword, "usemtl"))
      group_ = &groups_[std::string(mtl_name(line))];
    else if (equal_words(keyword, "mtllib"))
      library_.load(line);
    else if (equal_words(keyword, "l") || equal_words(keyword, "p"))
      notes_.add("is read without lines and points", here());
    else if (equal_words(keyword, "curv") || equal_words(keyword, "curv2") || equal_words(keyword, "surf"))
      notes_.add("is read without free-form curves and surfaces", here());
  }

  static std::string_view without_comment(std::string_view line) { return line.substr(0, line.find('#')); }
  std::string here() const { return concat("line ", line_); }

  static std::optional<float> finite_number(std::string_view& line) {
    const auto value = parse_number<double>(next_word(line));
    if (!value || !std::isfinite(float(*value))) return std::nullopt;
    return float(*value);
  }

  // All three not a number, with a note, where one of the first `required` is none; the others may be
  // missing.
  Vec3 optional_numbers(std::string_view line, std::size_t required, const char* what) {
    Vec3 result;
    for (std::size_t i = 0; i < required; ++i) {
      const std::optional<float> value = finite_number(line);
      if (!value) {
        notes_.add(what, here());
        return {NAN, NAN, NAN};
      }
      result[i] = *value;
    }
    return result;
  }

  void position(std::string_view line) {
    if (positions_.size() >= std::size_t(std::numeric_limits<Index>::max()))
      refuse(name_, line_, "it has more vertices than 31 bits count");
    Vec3 read;
    for (std::size_t i = 0; i < 3; ++i) {
      const auto value = parse_number<double>(next_word(line));
      if (!value || !std::isfinite(float(*value))) refuse(name_, line_, "a finite number is missing");
      read[i] = float(*value);
    }
    positions_.push_back(read);
    if (!is_blank(line)) colour(line);
    if (!colours_.empty()) colours_.resize(positions_.size(), kNoColour);
  }

  // Three or four more numbers are a colour, the fourth of them its alpha; a single one is a weight, which
  // polygons do not use.
  void colour(std::string_view line) {
    std::string_view rest = line;
    std::size_t count = 0;
    while (!next_word(rest).empty()) ++count;
    if (count < 3) return;
    Vec3 read;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::optional<float> value = finite_number(line);
      if (!value) {
        notes_.add("is read without vertex colours that are no finite numbers", here());
        read = kNoColour;
        break;
      }
      read[i] = *value;
    }
    colours_.resize(positions_.size() - 1, kNoColour);
    colours_.push_back(read);
  }

  void coordinate(std::string_view line) {
    std::string_view rest = line;
    next_word(rest);
    const Vec3 read = optional_numbers(line, is_blank(rest) ? 1 : 2, kWithoutCoordinates);
    coordinates_.push_back({read.x, 1 - read.y});  // the file's v grows upwards
  }

  // Counts from 1, or backwards from the latest element; -1 where it is neither.
  static Index resolve(std::string_view word, std::size_t count) {
    const auto value = parse_number<Index>(word);
    if (!value || *value == 0) return -1;
    if (*value > 0) return *value - 1;
    return *value >= -Index(count) ? Index(count) + *value : -1;
  }

  [[noreturn]] void refuse_vertex(std::string_view word, std::size_t line) const {
    refuse(name_, line,
           concat("a face names vertex \"", std::string(word.substr(0, 32)), "\" of ", positions_.size()));
  }

  Corner corner(std::string_view word) {
    Corner result;
    const std::size_t first = word.find('/');
    result.position = resolve(word.substr(0, first), positions_.size());
    if (result.position < 0) refuse_vertex(word.substr(0, first), line_);
    if (first == std::string_view::npos) return result;
    const std::size_t second = word.find('/', first + 1);
    const std::string_view coordinate =
        word.substr(first + 1, second == std::string_view::npos ? second : second - first - 1);
    if (!coordinate.empty()) {
      result.coordinate = resolve(coordinate, coordinates_.size());
      if (result.coordinate < 0) notes_.add(kWithoutCoordinates, here());
    }
    if (second != std::string_view::npos && second + 1 < word.size()) {
      result.normal = resolve(word.substr(second + 1), normals_.size());
      if (result.normal < 0) notes_.add(kWithoutNormals, here());
    }
    return result;
  }

  void face(std::string_view line) {
    polygon_.clear();
    bool early = false;
    for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
      polygon_.push_back(corner(word));
      early = early || polygon_.back().position >= Index(positions_.size());
    }
    if (polygon_.size() < 3)
      notes_.add("is read without faces of fewer than three corners", here());
    else if (early)
      keep_for_later();
    else
      add_face(*group_, polygon_, line_);
  }

  void keep_for_later() {
    early_.push_back({group_, early_corners_.size(), polygon_.size(), line_});
    early_corners_.insert(early_corners_.end(), polygon_.begin(), polygon_.end());
  }

  void add_face(Group& group, std::span<const Corner> polygon, std::size_t line) {
    corner_positions_.clear();
    triangles_.clear();
    for (const Corner& c : polygon) {
      if (c.position >= Index(positions_.size())) refuse_vertex(std::to_string(c.position + 1), line);
      corner_positions_.push_back(positions_[std::size_t(c.position)]);
    }
    triangulate_polygon(corner_positions_, triangles_);
    for (const auto& triangle : triangles_)
      for (const std::uint32_t i : triangle) group.corners.push_back(polygon[i]);
  }

  // Forgets what does not exist or is not finite.
  void drop_broken_attributes(std::vector<Corner>& corners) {
    std::size_t coordinates = 0, normals = 0;
    for (Corner& c : corners) {
      if (c.coordinate >= Index(coordinates_.size())) {
        c.coordinate = -1;
        ++coordinates;
      } else if (c.coordinate >= 0 && std::isnan(coordinates_[std::size_t(c.coordinate)].u)) {
        c.coordinate = -1;
      }
      if (c.normal >= Index(normals_.size())) {
        c.normal = -1;
        ++normals;
      } else if (c.normal >= 0 && std::isnan(normals_[std::size_t(c.normal)].x)) {
        c.normal = -1;
      }
    }
    notes_.add(kWithoutCoordinates, "a face names one of them", coordinates);
    notes_.add(kWithoutNormals, "a face names one of them", normals);
  }

  Vec3 normal_of(const Corner* corners) const {
    const auto at = [&](std::size_t i) { return positions_[std::size_t(corners[i].position)]; };
    return normalised(cross(at(1) - at(0), at(2) - at(0)));
  }

  // Corners without a normal have their triangle's, where others have one.
  Primitive primitive_of(const std::vector<Corner>& corners, bool with_normals,
                         const ObjMaterial* textured) const {
    Primitive primitive;
    std::unordered_map<Corner, std::uint32_t, CornerHash> known;
    known.reserve(corners.size() / 4);
    primitive.triangles.resize(corners.size() / 3);
    for (std::size_t i = 0; i < corners.size(); ++i) {
      Corner c = corners[i];
      const bool lacks_normal = with_normals && c.normal < 0;
      if (!with_normals) c.normal = -1;
      if (lacks_normal) c.normal = Index(-2) - Index(i / 3);
      if (!textured) c.coordinate = -1;
      const auto [at, is_new] = known.try_emplace(c, std::uint32_t(primitive.positions.size()));
      primitive.triangles[i / 3][i % 3] = at->second;
      if (!is_new) continue;
      primitive.positions.push_back(positions_[std::size_t(c.position)]);
      if (with_normals)
        primitive.normals.push_back(lacks_normal ? normal_of(&corners[i / 3 * 3])
                                                 : normalised(normals_[std::size_t(c.normal)]));
      if (textured)
        primitive.coordinates.push_back(moved(coordinates_[std::size_t(c.coordinate)], *textured));
      if (!colours_.empty()) primitive.linear_colours.push_back(to_linear(colours_[std::size_t(c.position)]));
    }
    return primitive;
  }

  static TextureCoordinate moved(TextureCoordinate at, const ObjMaterial& material) {
    const Vec3 scale = material.scale, offset = material.offset;
    if (scale == Vec3{1, 1, 1} && offset == Vec3{}) return at;
    return {at.u * scale.x + offset.x, 1 - ((1 - at.v) * scale.y + offset.y)};
  }

  // Triangles of which every corner has texture coordinates, and the others.
  static std::array<std::vector<Corner>, 2> split_by_coordinates(std::vector<Corner>&& corners) {
    std::array<std::vector<Corner>, 2> parts;
    const auto has = [](const Corner& c) { return c.coordinate >= 0; };
    if (std::all_of(corners.begin(), corners.end(), has)) {
      parts[0] = std::move(corners);
      return parts;
    }
    for (std::size_t i = 0; i + 2 < corners.size(); i += 3) {
      std::vector<Corner>& part = parts[std::all_of(&corners[i], &corners[i] + 3, has) ? 0 : 1];
      part.insert(part.end(), &corners[i], &corners[i] + 3);
    }
    if (parts[0].empty()) parts[1] = std::move(corners);
    return parts;
  }

  Mesh assemble() {
    if (!colours_.empty()) colours_.resize(positions_.size(), kNoColour);
    bring_to_unit_range(colours_);
    bool coloured = !colours_.empty();
    Mesh mesh;
    for (auto& [material_name, group] : groups_) {
      if (group.corners.empty()) continue;
      drop_broken_attributes(group.corners);
      const ObjMaterial* material = library_.find(material_name);
      coloured |= material != nullptr;
      if (!material && !material_name.empty())
        notes_.add("is read without materials that no file describes",
                   concat("material \"", material_name, "\""));
      const bool textured = material && material->texture.image;
      const bool with_normals = std::any_of(group.corners.begin(), group.corners.end(),
                                            [](const Corner& c) { return c.normal >= 0; });
      std::array<std::vector<Corner>, 2> parts;
      if (textured)
        parts = split_by_coordinates(std::move(group.corners));
      else
        parts[1] = std::move(group.corners);
      if (textured && !parts[1].empty())
        notes_.add("is read without the texture of faces that have no texture coordinates",
                   concat("material \"", material_name, "\""), parts[1].size() / 3);
      if (!parts[0].empty())
        append(mesh,
               bake_colours(primitive_of(parts[0], with_normals, material), {{1, 1, 1}, &material->texture}));
      // Vertex colours are the more specific statement: plain material colours give way to them.
      const Vec3 factor = material && colours_.empty() ? material->linear_factor : Vec3{1, 1, 1};
      if (!parts[1].empty())
        append(mesh, bake_colours(primitive_of(parts[1], with_normals, nullptr), {factor, nullptr}));
    }
    if (!coloured) mesh.colours.clear();
    return mesh;
  }

  const std::string& name_;
  ReadNotes& notes_;
  ObjMaterials library_;
  std::size_t line_ = 0;
  std::vector<Vec3> positions_, normals_, colours_;
  std::vector<TextureCoordinate> coordinates_;
  std::map<std::string, Group> groups_;
  Group* group_;
  std::vector<EarlyFace> early_;
  std::vector<Corner> early_corners_;
  std::vector<Corner> polygon_;
  std::vector<Vec3> corner_positions_;
  std::vector<std::array<std::uint32_t, 3>> triangles_;
};

}  // namespace

Mesh read_obj(std::span<const std::byte> bytes, const std::string& name, const std::filesystem::path& folder,
              ReadNotes& notes) {
  std::string converted;
  Mesh mesh = ObjReader(name, folder, notes).read(marked_text(as_text(bytes), name, converted));
  finish_read_mesh(mesh, name, notes);
  return mesh;
}

}  // namespace omni::geometry
