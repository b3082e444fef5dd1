#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <span>

#include "gltf_document.h"
#include "gltf_extensions.h"
#include "gltf_material.h"
#include "gltf_nodes.h"
#include "matrix4.h"
#include "mesh_formats.h"
#include "omni/core/error.h"
#include "texture_files.h"

namespace omni::geometry {
namespace {

using Json = nlohmann::json;

// Nodes may repeat a mesh without end. What comes of a file may have ten million vertices or triangles, but
// of a small file only as many as its size suggests.
constexpr std::size_t kMaximumElements = 10'000'000, kAlwaysAllowed = 100'000, kElementsPerByte = 16;

[[noreturn]] void refuse(const GltfDocument& document, const std::string& reason) {
  fail(ErrorKind::input, "cannot read mesh ", document.name(), ": ", reason, ".");
}

std::vector<Vec3> to_vectors(const std::vector<float>& values, int components) {
  std::vector<Vec3> vectors(values.size() / std::size_t(components));
  for (std::size_t i = 0; i < vectors.size(); ++i)
    for (std::size_t c = 0; c < 3; ++c) vectors[i][c] = values[i * std::size_t(components) + c];
  return vectors;
}

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
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

// How a mesh stands in the scene: by the transforms of its node, or of the joints that carry it.
struct Pose {
  std::vector<Matrix4> instances = {Matrix4{}};
  std::span<const Matrix4> joints;  // of a skin; the node's own transform does not count then
  std::vector<double> morph_weights;
  std::string node;  // for notes
};

constexpr const char* kNotDrawn = "is read without parts that are not drawn";

class SceneReader {
 public:
  explicit SceneReader(GltfDocument& document)
      : document_(document), nodes_(document), visited_(nodes_.size(), false) {}

  Mesh read() {
    if (visited_.empty()) {
      for (std::size_t i = 0; i < document_.count("meshes"); ++i) add_mesh(std::int64_t(i), {});
    } else {
      walk(nodes_.roots());
    }
    if (!coloured_) result_.colours.clear();
    return std::move(result_);
  }

 private:
  void walk(const std::vector<std::int64_t>& roots) {
    struct Pending {
      std::int64_t node;
      Matrix4 parent;
      bool visible;
    };
    std::vector<Pending> pending;
    for (auto at = roots.rbegin(); at != roots.rend(); ++at) pending.push_back({*at, Matrix4{}, true});
    while (!pending.empty()) {
      const Pending current = pending.back();
      pending.pop_back();
      const Json& node = document_.item("nodes", current.node);
      if (visited_[std::size_t(current.node)])
        refuse(document_, concat("node ", current.node, " has two parents or is its own ancestor"));
      visited_[std::size_t(current.node)] = true;
      const Matrix4 transform = current.parent * nodes_.local(current.node);
      const bool visible = current.visible && nodes_.is_visible(current.node);
      const std::int64_t mesh = json_integer(node, "mesh", -1, document_.name());
      if (mesh >= 0 && visible) add_mesh(mesh, pose_of(current.node, node, transform));
      if (mesh >= 0 && !visible)
        document_.notes().add(kNotDrawn, concat("node ", current.node, " is hidden"));
      const std::vector<std::int64_t> children = nodes_.children(current.node);
      for (auto at = children.rbegin(); at != children.rend(); ++at)
        pending.push_back({*at, transform, visible});
    }
  }

  Pose pose_of(std::int64_t index, const Json& node, const Matrix4& transform) {
    Pose pose;
    pose.node = concat("node ", index);
    pose.morph_weights = json_number_list(node, "weights", document_.name());
    const std::int64_t skin = json_integer(node, "skin", -1, document_.name());
    if (skin >= 0 && counted_skins_.insert(skin).second) count_work(nodes_.joint_count(skin));
    if (skin >= 0) pose.joints = nodes_.joint_matrices(skin);
    pose.instances = {transform};
    if (const auto instances = nodes_.instances(index)) {
      pose.instances.clear();
      count_work(instances->size());
      for (const Matrix4& instance : *instances) pose.instances.push_back(transform * instance);
    }
    return pose;
  }

  void add_mesh(std::int64_t index, Pose pose) {
    const Json& mesh = document_.item("meshes", index);
    const Json* primitives = json_member(mesh, "primitives");
    if (!primitives || !primitives->is_array())
      refuse(document_, concat("mesh ", index, " has no primitives"));
    if (pose.morph_weights.empty()) pose.morph_weights = json_number_list(mesh, "weights", document_.name());
    count_work(primitives->size() + pose.morph_weights.size());
    if (pose.joints.empty()) {
      const std::size_t flat =
          std::erase_if(pose.instances, [](const Matrix4& m) { return !m.keeps_area(); });
      document_.notes().add(kNotDrawn, concat(pose.node, " has a scale of 0"), flat);
      if (pose.instances.empty()) return;
    }
    for (const Json& primitive : *primitives) add_primitive(primitive, pose);
  }

  // What nodes ask for beside vertices and triangles: they may repeat it without end, and show nothing.
  void count_work(std::size_t count) {
    work_ += count;
    check_size(work_, "joints, instances and primitives");
  }

  std::vector<std::uint32_t> read_or_count_indices(const Json& json, std::size_t vertices) {
    const std::int64_t accessor = json_integer(json, "indices", -1, document_.name());
    std::vector<std::uint32_t> indices;
    if (const DracoMesh* draco = document_.draco_mesh(json)) {
      indices = draco->indices;
    } else if (accessor < 0) {
      indices.resize(vertices);
      std::iota(indices.begin(), indices.end(), 0u);
      return indices;
    } else {
      indices = document_.read_indices(accessor);
    }
    for (const std::uint32_t i : indices)
      if (i >= vertices) refuse(document_, concat("a face names vertex ", i, " of ", vertices));
    return indices;
  }

  // An attribute of a primitive, of so many components, or nothing.
  std::vector<float> attribute(const Json& primitive, const std::string& key, std::size_t vertices,
                               int fewest, int most, int& components) {
    const Json& attributes = *json_member(primitive, "attributes");
    const std::int64_t accessor = json_integer(attributes, key.c_str(), -1, document_.name());
    if (accessor < 0) return {};
    if (const DracoMesh* draco = document_.draco_mesh(primitive)) {
      for (const DracoMesh::Attribute& decoded : draco->attributes)
        if (decoded.semantic == key) {
          components = decoded.components;
          check_attribute(key, decoded.values.size(), vertices, fewest, most, components);
          return decoded.values;
        }
      if (!json_member(document_.item("accessors", accessor), "bufferView"))
        refuse(document_, concat("its data, compressed with KHR_draco_mesh_compression, has no ", key));
    }
    return accessor_values(accessor, key, vertices, fewest, most, components);
  }

  std::vector<float> accessor_values(std::int64_t accessor, const std::string& key, std::size_t vertices,
                                     int fewest, int most, int& components) {
    if (document_.element_count(accessor) > kMaximumElements)
      refuse(document_, concat("it has more than ", kMaximumElements, " vertices; simplify it first"));
    std::vector<float> values = document_.read_floats(accessor, components);
    check_attribute(key, values.size(), vertices, fewest, most, components);
    return values;
  }

  void check_attribute(const std::string& key, std::size_t values, std::size_t vertices, int fewest, int most,
                       int components) const {
    if (components < fewest || components > most ||
        (vertices > 0 && values != vertices * std::size_t(components)))
      refuse(document_, concat("attribute ", key, " does not fit its primitive's positions"));
  }

  void check_size(std::size_t count, const char* what) const {
    const std::size_t most =
        std::min(kMaximumElements, std::max(kAlwaysAllowed, kElementsPerByte * document_.byte_count()));
    if (count <= most) return;
    refuse(document_, concat("it comes to more than ", most, " ", what, ", at a size of ",
                             document_.byte_count(), " bytes; simplify it or repeat its meshes less often"));
  }

  void add_primitive(const Json& json, const Pose& pose) {
    const std::int64_t mode = json_integer(json, "mode", 4, document_.name());
    if (mode < 4 || mode > 6) {
      document_.notes().add("is read without points and lines", pose.node);
      return;
    }
    const Json* attributes = json_member(json, "attributes");
    if (!attributes) refuse(document_, "a primitive has no attributes");
    const GltfMaterial material =
        read_gltf_material(document_, json_integer(json, "material", -1, document_.name()));
    if (material.is_invisible) {
      document_.notes().add(kNotDrawn, concat(pose.node, " has a transparent material"));
      return;
    }
    Primitive primitive = read_primitive(json, material);
    if (primitive.positions.empty()) return;
    const bool is_draco = document_.draco_mesh(json) != nullptr;
    primitive.triangles =
        assemble(is_draco ? 4 : mode, read_or_count_indices(json, primitive.positions.size()));
    morph(json, pose.morph_weights, primitive);
    coloured_ |= material.has_factor || material.texture || !primitive.linear_colours.empty();
    const bool textured = material.texture && !primitive.coordinates.empty();
    const bool skinned = !pose.joints.empty() && apply_skin(json, pose.joints, primitive);
    const std::size_t copies = skinned ? 1 : pose.instances.size();
    for (std::size_t i = 0; i < copies; ++i) {
      check_size(result_.positions.size() + primitive.positions.size(), "vertices");
      check_size(result_.triangles.size() + primitive.triangles.size(), "triangles");
      Primitive placed = i + 1 < copies ? primitive : std::move(primitive);
      if (!skinned) place(placed, pose.instances[i]);
      append(result_, bake_colours(placed, {material.factor, textured ? &*material.texture : nullptr}));
    }
  }

  Primitive read_primitive(const Json& json, const GltfMaterial& material) {
    int components = 0;
    Primitive primitive;
    primitive.positions = to_vectors(attribute(json, "POSITION", 0, 3, 3, components), 3);
    const std::size_t vertices = primitive.positions.size();
    if (vertices == 0) return primitive;
    check_size(result_.positions.size() + vertices, "vertices");
    primitive.normals = to_vectors(attribute(json, "NORMAL", vertices, 3, 3, components), 3);
    if (const auto colours = attribute(json, "COLOR_0", vertices, 3, 4, components); !colours.empty()) {
      if (all_finite(colours))
        primitive.linear_colours = to_vectors(colours, components);
      else
        document_.notes().add("is read without vertex colours that are no finite numbers",
                              "COLOR_0 of a primitive");
    }
    if (!material.texture) return primitive;
    const std::string key = concat("TEXCOORD_", material.coordinate_set);
    const auto values = attribute(json, key, vertices, 2, 2, components);
    if (values.empty()) document_.notes().add(kWithoutTextures, concat("a primitive has no ", key));
    if (!all_finite(values)) {
      document_.notes().add(kWithoutTextures, concat(key, " of a primitive is no finite number"));
      return primitive;
    }
    primitive.coordinates.resize(values.size() / 2);
    for (std::size_t i = 0; i < primitive.coordinates.size(); ++i) {
      primitive.coordinates[i] = {values[2 * i], values[2 * i + 1]};
      if (material.transform) primitive.coordinates[i] = (*material.transform)(primitive.coordinates[i]);
    }
    return primitive;
  }

  // Adds the shapes that the primitive is at rest a mixture of.
  void morph(const Json& json, const std::vector<double>& weights, Primitive& primitive) {
    const Json* targets = json_member(json, "targets");
    if (!targets || !targets->is_array()) return;
    for (std::size_t t = 0; t < std::min(weights.size(), targets->size()); ++t) {
      if (weights[t] == 0) continue;
      const auto add = [&](const char* key, std::vector<Vec3>& to) {
        const std::int64_t accessor = json_integer((*targets)[t], key, -1, document_.name());
        if (accessor < 0 || to.empty()) return;
        int components = 0;
        const auto by = to_vectors(accessor_values(accessor, key, to.size(), 3, 3, components), 3);
        for (std::size_t i = 0; i < to.size(); ++i) to[i] += by[i] * float(weights[t]);
      };
      add("POSITION", primitive.positions);
      add("NORMAL", primitive.normals);
    }
  }

  // Moves each vertex by the weighted mean of its joints. False where the primitive names none.
  bool apply_skin(const Json& json, std::span<const Matrix4> joints, Primitive& primitive) {
    const std::size_t vertices = primitive.positions.size();
    std::vector<Matrix4> blended(vertices, Matrix4::zero());
    std::vector<double> sums(vertices, 0);
    std::vector<std::uint32_t> fallback(vertices, 0);
    constexpr int kMostSets = 8;
    int sets = 0;
    for (; sets < kMostSets; ++sets) {
      int components = 0;
      const auto indices = attribute(json, concat("JOINTS_", sets), vertices, 4, 4, components);
      const auto weights = attribute(json, concat("WEIGHTS_", sets), vertices, 4, 4, components);
      if (indices.empty() || weights.empty()) break;
      for (std::size_t k = 0; k < indices.size(); ++k) {
        const auto joint = std::size_t(std::max(indices[k], 0.0f));
        if (sets == 0 && k % 4 == 0) fallback[k / 4] = std::uint32_t(std::min(joint, joints.size() - 1));
        const double weight = weights[k];
        if (weight == 0 || !std::isfinite(weight)) continue;
        if (joint >= joints.size())
          refuse(document_, concat("a vertex names joint ", joint, " of ", joints.size()));
        blended[k / 4].add_scaled(joints[joint], weight);
        sums[k / 4] += weight;
      }
    }
    if (sets == 0) return false;
    std::size_t mirrored = 0;
    for (std::size_t i = 0; i < vertices; ++i) {
      Matrix4 transform = joints[fallback[i]];  // without weights its first joint carries a vertex
      if (sums[i] > 0) transform = Matrix4::zero().add_scaled(blended[i], 1 / sums[i]);
      mirrored += transform.determinant() < 0;
      primitive.positions[i] = transform.point(primitive.positions[i]);
      if (!primitive.normals.empty()) primitive.normals[i] = transform.normal(primitive.normals[i]);
    }
    if (mirrored > vertices / 2) turn_over(primitive);
    return true;
  }

  static void turn_over(Primitive& primitive) {
    for (auto& triangle : primitive.triangles) std::swap(triangle[1], triangle[2]);
  }

  static void place(Primitive& primitive, const Matrix4& transform) {
    for (Vec3& p : primitive.positions) p = transform.point(p);
    for (Vec3& n : primitive.normals) n = transform.normal(n);
    if (transform.determinant() < 0) turn_over(primitive);
  }

  GltfDocument& document_;
  GltfNodes nodes_;
  std::vector<bool> visited_;
  std::set<std::int64_t> counted_skins_;
  std::size_t work_ = 0;
  bool coloured_ = false;  // whether anything names a colour
  Mesh result_;
};

}  // namespace

Mesh read_gltf(std::span<const std::byte> bytes, const std::string& name, const std::filesystem::path& folder,
               ReadNotes& notes) {
  GltfDocument document(bytes, name, folder, notes);
  check_gltf_extensions(document);
  Mesh mesh = SceneReader(document).read();
  finish_read_mesh(mesh, name, notes);
  return mesh;
}

}  // namespace omni::geometry
