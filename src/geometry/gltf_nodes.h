#pragma once

#include <map>
#include <optional>
#include <vector>

#include "gltf_document.h"
#include "matrix4.h"

namespace omni::geometry {

// Where the nodes of a document stand at rest. Indices out of range and cycles are Error(input).
class GltfNodes {
 public:
  explicit GltfNodes(GltfDocument& document);

  std::size_t size() const { return parent_.size(); }
  // Of the scene that is shown, or without scenes those without a parent.
  std::vector<std::int64_t> roots() const;
  std::vector<std::int64_t> children(std::int64_t node) const;
  Matrix4 local(std::int64_t node) const;
  // What the node's transform and its parents' come to.
  Matrix4 world(std::int64_t node);
  // The transforms of EXT_mesh_gpu_instancing, relative to the node; nothing where the node has none.
  std::optional<std::vector<Matrix4>> instances(std::int64_t node);
  // False where KHR_node_visibility hides the node, and with it all below.
  bool is_visible(std::int64_t node) const;
  // How many joints or inverse bind matrices joint_matrices() reads.
  std::size_t joint_count(std::int64_t skin) const;
  // Per joint of the skin: from the mesh's bind pose to the world. Many nodes may share a skin: it is kept.
  const std::vector<Matrix4>& joint_matrices(std::int64_t skin);

 private:
  const nlohmann::json& json(std::int64_t node) const { return document_.item("nodes", node); }
  std::vector<Matrix4> read_joint_matrices(std::int64_t skin);
  std::vector<std::int64_t> list(const nlohmann::json& object, const char* key) const;

  GltfDocument& document_;
  std::vector<std::int64_t> parent_;  // -1: none
  std::vector<std::optional<Matrix4>> world_;
  std::map<std::int64_t, std::vector<Matrix4>> joints_;  // per skin
};

}  // namespace omni::geometry
