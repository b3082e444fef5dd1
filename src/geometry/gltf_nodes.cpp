#include "gltf_nodes.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::geometry {
namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(const GltfDocument& document, const std::string& reason) {
  fail(ErrorKind::input, "cannot read mesh ", document.name(), ": ", reason, ".");
}

}  // namespace

GltfNodes::GltfNodes(GltfDocument& document)
    : document_(document), parent_(document.count("nodes"), -1), world_(parent_.size()) {
  for (std::size_t i = 0; i < parent_.size(); ++i)
    for (const std::int64_t child : children(std::int64_t(i)))
      if (child >= 0 && std::size_t(child) < parent_.size()) parent_[std::size_t(child)] = std::int64_t(i);
}

std::vector<std::int64_t> GltfNodes::list(const Json& object, const char* key) const {
  std::vector<std::int64_t> list;
  const Json* array = json_member(object, key);
  if (!array) return list;
  if (!array->is_array()) refuse(document_, concat("\"", key, "\" is not an array"));
  for (const Json& entry : *array) {
    if (!entry.is_number_integer()) refuse(document_, concat("\"", key, "\" should hold integers"));
    list.push_back(entry.get<std::int64_t>());
  }
  return list;
}

std::vector<std::int64_t> GltfNodes::roots() const {
  if (document_.count("scenes") > 0)
    return list(document_.item("scenes", json_integer(document_.json(), "scene", 0, document_.name())),
                "nodes");
  std::vector<std::int64_t> roots;
  for (std::size_t i = 0; i < parent_.size(); ++i)
    if (parent_[i] < 0) roots.push_back(std::int64_t(i));
  return roots;
}

std::vector<std::int64_t> GltfNodes::children(std::int64_t node) const {
  return list(json(node), "children");
}

Matrix4 GltfNodes::local(std::int64_t node) const {
  const Json& object = json(node);
  double m[16];
  if (json_numbers(object, "matrix", m, 16, document_.name())) return Matrix4::from_columns(m);
  double t[3] = {0, 0, 0}, q[4] = {0, 0, 0, 1}, s[3] = {1, 1, 1};
  json_numbers(object, "translation", t, 3, document_.name());
  json_numbers(object, "rotation", q, 4, document_.name());
  json_numbers(object, "scale", s, 3, document_.name());
  return Matrix4::from_parts(t, q, s);
}

Matrix4 GltfNodes::world(std::int64_t node) {
  std::vector<std::int64_t> way;
  for (std::int64_t at = node; at >= 0; at = parent_[std::size_t(at)]) {
    json(at);  // refuses what does not exist
    if (way.size() > parent_.size()) refuse(document_, concat("node ", node, " is its own ancestor"));
    way.push_back(at);
    if (world_[std::size_t(at)]) break;
  }
  Matrix4 transform;
  for (auto at = way.rbegin(); at != way.rend(); ++at) {
    auto& known = world_[std::size_t(*at)];
    if (!known) known = transform * local(*at);
    transform = *known;
  }
  return transform;
}

std::optional<std::vector<Matrix4>> GltfNodes::instances(std::int64_t node) {
  const Json* extensions = json_member(json(node), "extensions");
  const Json* instancing = extensions ? json_member(*extensions, "EXT_mesh_gpu_instancing") : nullptr;
  if (!instancing) return std::nullopt;
  const Json* attributes = json_member(*instancing, "attributes");
  if (!attributes || !attributes->is_object()) refuse(document_, "its instances have no attributes");
  if (attributes->empty()) return std::nullopt;
  std::optional<std::size_t> count;
  for (const auto& [semantic, unused] : attributes->items()) {
    const std::size_t elements =
        document_.element_count(json_integer(*attributes, semantic.c_str(), -1, document_.name()));
    if (count && *count != elements) refuse(document_, "the attributes of its instances differ in length");
    count = elements;
  }
  const auto read = [&](const char* semantic, int components) {
    const std::int64_t accessor = json_integer(*attributes, semantic, -1, document_.name());
    if (accessor < 0) return std::vector<float>{};
    int found = 0;
    std::vector<float> values = document_.read_floats(accessor, found);
    if (found != components)
      refuse(document_, concat("attribute ", semantic, " of its instances has a wrong type"));
    return values;
  };
  const std::vector<float> translation = read("TRANSLATION", 3), rotation = read("ROTATION", 4);
  const std::vector<float> scale = read("SCALE", 3);
  if (translation.empty() && rotation.empty() && scale.empty() && count.value_or(0) > document_.byte_count())
    refuse(document_, concat("it asks for ", *count, " instances without data"));
  std::vector<Matrix4> transforms;
  for (std::size_t i = 0; i < count.value_or(0); ++i) {
    double t[3] = {0, 0, 0}, q[4] = {0, 0, 0, 1}, s[3] = {1, 1, 1};
    for (std::size_t c = 0; c < 3 && !translation.empty(); ++c) t[c] = translation[3 * i + c];
    for (std::size_t c = 0; c < 4 && !rotation.empty(); ++c) q[c] = rotation[4 * i + c];
    for (std::size_t c = 0; c < 3 && !scale.empty(); ++c) s[c] = scale[3 * i + c];
    transforms.push_back(Matrix4::from_parts(t, q, s));
  }
  return transforms;
}

bool GltfNodes::is_visible(std::int64_t node) const {
  const Json* extensions = json_member(json(node), "extensions");
  const Json* visibility = extensions ? json_member(*extensions, "KHR_node_visibility") : nullptr;
  const Json* visible = visibility ? json_member(*visibility, "visible") : nullptr;
  return !visible || !visible->is_boolean() || visible->get<bool>();
}

std::size_t GltfNodes::joint_count(std::int64_t skin) const {
  const Json& object = document_.item("skins", skin);
  const std::int64_t accessor = json_integer(object, "inverseBindMatrices", -1, document_.name());
  return std::max(list(object, "joints").size(), accessor < 0 ? 0 : document_.element_count(accessor));
}

const std::vector<Matrix4>& GltfNodes::joint_matrices(std::int64_t skin) {
  auto at = joints_.find(skin);
  if (at == joints_.end()) at = joints_.emplace(skin, read_joint_matrices(skin)).first;
  return at->second;
}

std::vector<Matrix4> GltfNodes::read_joint_matrices(std::int64_t skin) {
  const Json& object = document_.item("skins", skin);
  const std::vector<std::int64_t> joints = list(object, "joints");
  const std::int64_t accessor = json_integer(object, "inverseBindMatrices", -1, document_.name());
  std::vector<float> inverse_bind;
  if (accessor >= 0) {
    int components = 0;
    inverse_bind = document_.read_floats(accessor, components);
    if (components != 16 || inverse_bind.size() / 16 < joints.size())
      refuse(document_,
             concat("skin ", skin, " has ", joints.size(), " joints and fewer inverse bind matrices"));
  }
  std::vector<Matrix4> matrices;
  for (std::size_t j = 0; j < joints.size(); ++j) {
    double columns[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    for (std::size_t c = 0; c < 16 && !inverse_bind.empty(); ++c) columns[c] = inverse_bind[16 * j + c];
    matrices.push_back(world(joints[j]) * Matrix4::from_columns(columns));
  }
  return matrices;
}

}  // namespace omni::geometry
