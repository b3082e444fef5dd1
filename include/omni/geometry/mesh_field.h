#pragma once

#include <memory>

#include "omni/geometry/mesh.h"
#include "omni/geometry/solid_field.h"

namespace omni::geometry {

enum class LabelMode { automatic, winding, flood };

struct MeshFieldOptions {
  LabelMode mode = LabelMode::automatic;
  float epsilon = 2.0f * 2.1f / 64;  // thin walls become 2 epsilon thick; two cells of the label grid
};

// Inside and outside of a mesh that need not be closed: generalised winding number above 0.5 (Barill et al.,
// "Fast winding numbers for soups and clouds", SIGGRAPH 2018), or nearer to the surface than epsilon where
// the mesh is open or inconsistently oriented. Copies what it needs from the mesh.
class MeshField : public SolidField {
 public:
  explicit MeshField(const Mesh& mesh, MeshFieldOptions options = {});
  ~MeshField() override;
  void occupancy(std::span<const Vec3> points, std::span<std::uint8_t> inside) const override;
  void colour(std::span<const Vec3> points, std::span<Vec3> colours) const override;
  void distance(std::span<const Vec3> points, std::span<float> distances) const;  // unsigned
  LabelMode chosen_mode() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace omni::geometry
