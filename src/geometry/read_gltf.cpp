#include <algorithm>
#include <cmath>

#include "gltf_document.h"
#include "matrix4.h"
#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/geometry/mesh_files.h"

namespace omni::geometry {
namespace {

using Json = nlohmann::json;

// Nodes may repeat a mesh without end. What comes of a file may have ten million vertices or triangles, but
// of a small file only as many as its size suggests.
constexpr std::size_t kMaximumElements = 10'000'000, kAlwaysAllowed = 100'000, kElementsPerByte = 16;

[[noreturn]] void refuse(const GltfDocument& document, const std::string& reason) {
  fail(ErrorKind::input, "cannot read mesh ", document.name(), ": ", reason, ".");
}

void check_extensions(const GltfDocument& document) {
  const Json* required = json_member(document.json(), "extensionsRequired");
  if (!required || !required->is_array()) return;
  for (const Json& entry : *required) {
    const std::string extension = entry.is_string() ? entry.get<std::string>() : "";
    if (extension == "KHR_draco_mesh_compression" || extension == "EXT_meshopt_compression")
      refuse(document, "it is compressed with " + extension + ", which is not read; export it uncompressed");
  }
}

Matrix4 local_transform(const GltfDocument& document, const Json& node) {
  double m[16];
  if (json_numbers(node, "matrix", m, 16, document.name())) return Matrix4::from_columns(m);
  double t[3] = {0, 0, 0}, q[4] = {0, 0, 0, 1}, s[3] = {1, 1, 1};
  json_numbers(node, "translation", t, 3, document.name());
  json_numbers(node, "rotation", q, 4, document.name());
  json_numbers(node, "scale", s, 3, document.name());
  return Matrix4::from_parts(t, q, s);
}

std::vector<Vec3> to_vectors(const std::vector<float>& values, int components) {
  std::vector<Vec3> vectors(values.size() / std::size_t(components));
  for (std::size_t i = 0; i < vectors.size(); ++i)
    for (std::size_t c = 0; c < 3; ++c) vectors[i][c] = values[i * std::size_t(components) + c];
  return vectors;
}

std::vector<std::array<std::uint32_t, 3>> assemble(std::int64_t mode,
                                                   const std::vector<std::uint32_t>& indices) {
  std::vector<std::array<std::uint32_t, 3>> triangles;
  const std::size_t n = indices.size();
  if (mode == 4) {
    for (std::size_t i = 0; i + 2 < n; i += 3)
      triangles.push_back({indices[i], indices[i + 1], indices[i + 2]});
  } else if (mode == 5) {
    for (std::size_t i = 0; i + 2 < n; ++i)
      triangles.push_back(i % 2 ? std::array{indices[i + 1], indices[i], indices[i + 2]}
                                : std::array{indices[i], indices[i + 1], indices[i + 2]});
  } else if (mode == 6) {
    for (std::size_t i = 1; i + 1 < n; ++i) triangles.push_back({indices[0], indices[i], indices[i + 1]});
  }
  return triangles;
}

TextureWrap wrap_mode(std::int64_t value) {
  return value == 33071   ? TextureWrap::clamp_to_edge
         : value == 33648 ? TextureWrap::mirrored_repeat
                          : TextureWrap::repeat;
}

// KHR_texture_transform: scale, then rotation (counter-clockwise in a space with v downwards), then offset.
struct CoordinateTransform {
  double offset[2] = {0, 0}, scale[2] = {1, 1}, rotation = 0;
  TextureCoordinate operator()(TextureCoordinate at) const {
    const double u = at.u * scale[0], v = at.v * scale[1], c = std::cos(rotation), s = std::sin(rotation);
    return {float(c * u + s * v + offset[0]), float(-s * u + c * v + offset[1])};
  }
};

// A material together with what of it is per texture coordinate.
struct GltfMaterial {
  Vec3 factor{1, 1, 1};
  bool has_factor = false;
  std::optional<Texture> texture;
  std::int64_t coordinate_set = 0;
  std::optional<CoordinateTransform> transform;
};

void read_texture(GltfDocument& document, const Json& info, GltfMaterial& material) {
  const std::string& name = document.name();
  const Json& texture = document.item("textures", json_integer(info, "index", -1, name));
  std::int64_t source = json_integer(texture, "source", -1, name);
  if (const Json* extensions = json_member(texture, "extensions"))
    if (const Json* webp = json_member(*extensions, "EXT_texture_webp"))
      source = json_integer(*webp, "source", source, name);
  if (source < 0) {
    log_warning("mesh ", name, " is read without a texture that is in an unknown format.");
    return;
  }
  Texture result;
  result.image = document.image(source);
  if (!result.image) return;
  if (const std::int64_t sampler = json_integer(texture, "sampler", -1, name); sampler >= 0) {
    const Json& json = document.item("samplers", sampler);
    result.wrap_u = wrap_mode(json_integer(json, "wrapS", 10497, name));
    result.wrap_v = wrap_mode(json_integer(json, "wrapT", 10497, name));
    result.nearest = json_integer(json, "magFilter", 9729, name) == 9728;
  }
  material.texture = result;
  material.coordinate_set = json_integer(info, "texCoord", 0, name);
  if (const Json* extensions = json_member(info, "extensions")) {
    if (const Json* json = json_member(*extensions, "KHR_texture_transform")) {
      CoordinateTransform transform;
      json_numbers(*json, "offset", transform.offset, 2, name);
      json_numbers(*json, "scale", transform.scale, 2, name);
      transform.rotation = json_number(*json, "rotation", 0, name);
      material.coordinate_set = json_integer(*json, "texCoord", material.coordinate_set, name);
      material.transform = transform;
    }
  }
}

GltfMaterial read_material(GltfDocument& document, std::int64_t index) {
  GltfMaterial material;
  if (index < 0) return material;
  const Json& json = document.item("materials", index);
  const Json* surface = json_member(json, "pbrMetallicRoughness");
  const char *factor_key = "baseColorFactor", *texture_key = "baseColorTexture";
  if (const Json* extensions = json_member(json, "extensions")) {
    if (const Json* older = json_member(*extensions, "KHR_materials_pbrSpecularGlossiness")) {
      surface = older;
      factor_key = "diffuseFactor";
      texture_key = "diffuseTexture";
    }
  }
  if (!surface) return material;
  double factor[4] = {1, 1, 1, 1};
  json_numbers(*surface, factor_key, factor, 4, document.name());
  material.has_factor = json_member(*surface, factor_key) != nullptr;
  material.factor = {float(factor[0]), float(factor[1]), float(factor[2])};
  if (const Json* info = json_member(*surface, texture_key)) read_texture(document, *info, material);
  return material;
}

class SceneReader {
 public:
  explicit SceneReader(GltfDocument& document)
      : document_(document), visited_(document.count("nodes"), false) {}

  Mesh read() {
    if (visited_.empty()) {
      for (std::size_t i = 0; i < document_.count("meshes"); ++i) add_mesh(std::int64_t(i), Matrix4{});
    } else {
      walk(roots());
    }
    if (!coloured_) result_.colours.clear();
    return std::move(result_);
  }

 private:
  std::vector<std::int64_t> roots() const {
    if (document_.count("scenes") > 0) {
      const Json& scene =
          document_.item("scenes", json_integer(document_.json(), "scene", 0, document_.name()));
      return node_list(scene, "nodes");
    }
    return parentless_nodes();
  }

  std::vector<std::int64_t> node_list(const Json& json, const char* key) const {
    std::vector<std::int64_t> list;
    const Json* array = json_member(json, key);
    if (!array) return list;
    if (!array->is_array()) refuse(document_, concat("\"", key, "\" is not an array"));
    for (const Json& entry : *array) {
      if (!entry.is_number_integer()) refuse(document_, concat("\"", key, "\" should hold integers"));
      list.push_back(entry.get<std::int64_t>());
    }
    return list;
  }

  std::vector<std::int64_t> parentless_nodes() const {
    std::vector<bool> is_child(visited_.size(), false);
    for (std::size_t i = 0; i < visited_.size(); ++i)
      for (const std::int64_t child : node_list(document_.item("nodes", std::int64_t(i)), "children"))
        if (child >= 0 && std::size_t(child) < is_child.size()) is_child[std::size_t(child)] = true;
    std::vector<std::int64_t> roots;
    for (std::size_t i = 0; i < is_child.size(); ++i)
      if (!is_child[i]) roots.push_back(std::int64_t(i));
    return roots;
  }

  void walk(const std::vector<std::int64_t>& roots) {
    struct Pending {
      std::int64_t node;
      Matrix4 parent;
    };
    std::vector<Pending> pending;
    for (auto at = roots.rbegin(); at != roots.rend(); ++at) pending.push_back({*at, Matrix4{}});
    while (!pending.empty()) {
      const Pending current = pending.back();
      pending.pop_back();
      const Json& node = document_.item("nodes", current.node);
      if (visited_[std::size_t(current.node)])
        refuse(document_, concat("node ", current.node, " has two parents or is its own ancestor"));
      visited_[std::size_t(current.node)] = true;
      const Matrix4 transform = current.parent * local_transform(document_, node);
      const std::int64_t mesh = json_integer(node, "mesh", -1, document_.name());
      if (mesh >= 0) add_mesh(mesh, transform);
      const std::vector<std::int64_t> children = node_list(node, "children");
      for (auto at = children.rbegin(); at != children.rend(); ++at) pending.push_back({*at, transform});
    }
  }

  void add_mesh(std::int64_t index, const Matrix4& transform) {
    const Json* primitives = json_member(document_.item("meshes", index), "primitives");
    if (!primitives || !primitives->is_array())
      refuse(document_, concat("mesh ", index, " has no primitives"));
    for (const Json& primitive : *primitives) add_primitive(primitive, transform);
  }

  std::vector<std::uint32_t> read_or_count_indices(const Json& json, std::size_t vertices) {
    const std::int64_t accessor = json_integer(json, "indices", -1, document_.name());
    if (accessor < 0) {
      std::vector<std::uint32_t> indices(vertices);
      for (std::size_t i = 0; i < vertices; ++i) indices[i] = std::uint32_t(i);
      return indices;
    }
    std::vector<std::uint32_t> indices = document_.read_indices(accessor);
    for (const std::uint32_t i : indices)
      if (i >= vertices) refuse(document_, concat("a face names vertex ", i, " of ", vertices));
    return indices;
  }

  std::vector<float> attribute(const Json& attributes, const std::string& key, std::size_t vertices,
                               int fewest, int most, int& components) {
    const std::int64_t accessor = json_integer(attributes, key.c_str(), -1, document_.name());
    if (accessor < 0) return {};
    std::vector<float> values = document_.read_floats(accessor, components);
    if (components < fewest || components > most ||
        (vertices > 0 && values.size() != vertices * std::size_t(components)))
      refuse(document_, concat("attribute ", key, " does not fit its primitive's positions"));
    return values;
  }

  void check_size(std::size_t count, const char* what) const {
    const std::size_t most =
        std::min(kMaximumElements, std::max(kAlwaysAllowed, kElementsPerByte * document_.byte_count()));
    if (count <= most) return;
    refuse(document_, concat("it comes to more than ", most, " ", what, ", at a size of ",
                             document_.byte_count(), " bytes; simplify it or repeat its meshes less often"));
  }

  void add_primitive(const Json& json, const Matrix4& transform) {
    const std::int64_t mode = json_integer(json, "mode", 4, document_.name());
    if (mode < 4 || mode > 6) return;  // points and lines have no surface
    const Json* attributes = json_member(json, "attributes");
    if (!attributes) refuse(document_, "a primitive has no attributes");
    int components = 0;
    Primitive primitive;
    const std::int64_t position = json_integer(*attributes, "POSITION", -1, document_.name());
    if (position < 0) return;
    if (document_.element_count(position) > kMaximumElements)
      refuse(document_, concat("it has more than ", kMaximumElements, " vertices; simplify it first"));
    primitive.positions = to_vectors(attribute(*attributes, "POSITION", 0, 3, 3, components), 3);
    const std::size_t vertices = primitive.positions.size();
    if (vertices == 0) return;
    check_size(result_.positions.size() + vertices, "vertices");
    primitive.normals = to_vectors(attribute(*attributes, "NORMAL", vertices, 3, 3, components), 3);
    if (const auto colours = attribute(*attributes, "COLOR_0", vertices, 3, 4, components); !colours.empty())
      primitive.linear_colours = to_vectors(colours, components);
    primitive.triangles = assemble(mode, read_or_count_indices(json, vertices));
    check_size(result_.triangles.size() + primitive.triangles.size(), "triangles");

    const GltfMaterial material =
        read_material(document_, json_integer(json, "material", -1, document_.name()));
    if (material.texture) {
      const std::string key = concat("TEXCOORD_", material.coordinate_set);
      const auto values = attribute(*attributes, key, vertices, 2, 2, components);
      primitive.coordinates.resize(values.size() / 2);
      for (std::size_t i = 0; i < primitive.coordinates.size(); ++i) {
        primitive.coordinates[i] = {values[2 * i], values[2 * i + 1]};
        if (material.transform) primitive.coordinates[i] = (*material.transform)(primitive.coordinates[i]);
      }
    }
    coloured_ |= material.has_factor || material.texture || !primitive.linear_colours.empty();
    place(primitive, transform);
    append(result_,
           bake_colours(primitive, {material.factor, material.texture ? &*material.texture : nullptr}));
  }

  static void place(Primitive& primitive, const Matrix4& transform) {
    for (Vec3& p : primitive.positions) p = transform.point(p);
    for (Vec3& n : primitive.normals) n = transform.normal(n);
    if (transform.determinant() < 0)
      for (auto& triangle : primitive.triangles) std::swap(triangle[1], triangle[2]);
  }

  GltfDocument& document_;
  std::vector<bool> visited_;
  bool coloured_ = false;  // whether anything names a colour
  Mesh result_;
};

}  // namespace

Mesh read_gltf(std::span<const std::byte> bytes, const std::string& name,
               const std::filesystem::path& folder) {
  GltfDocument document(bytes, name, folder);
  check_extensions(document);
  Mesh mesh = SceneReader(document).read();
  finish_read_mesh(mesh, name);
  return mesh;
}

}  // namespace omni::geometry
