#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "omni/data/edit_instructions.h"
#include "omni/data/object_source.h"
#include "omni/data/procedural_edit.h"
#include "omni/geometry/mesh_field.h"
#include "omni/geometry/occupancy_bits.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::evaluation {

struct EvaluationObject;

// An edit whose true result is known. It belongs to the object after the edit, whose truth the other figures
// are of.
struct EditTruth {
  data::ObjectRecord before;
  geometry::OccupancyBits before_shape;   // at the sweep's resolution
  geometry::OccupancyBits before_coarse;  // at ShapeReader::kResolution
  data::EditInstructions instructions;
  int part = -1;  // whose colour changes; -1 for a change of form
  data::ChangedSurface changed;
  std::vector<geometry::Vec3> untouched;  // points of the true surface after the edit that it leaves alone
  std::unique_ptr<const geometry::MeshField> surface;  // the visible one after the edit
  float diagonal = 1;                                  // of the box around it
};
// The edit of `object` that its own number chooses: every attribute and part is as likely. `resolution`: of
// before_shape. `surface`: the visible surface of the object after the edit.
data::ProceduralEdit choose_edit(const data::ProceduralWorld& world, std::int64_t object);
std::unique_ptr<const EditTruth> make_edit_truth(const data::ProceduralWorld& world,
                                                 const data::ProceduralEdit& edit,
                                                 const geometry::Mesh& surface, int resolution);

// Of a shape that an edit made, with its mesh:
//   class_kept          whether `class_kept` says so
//   edited_right        a part's new colour: it is the majority there; a form: nearer (by volume IoU) to the
//                       true shape after the edit than to that before, and the class kept
//   untouched_distance  mean distance of the surfaces that the edit leaves alone between the mesh and the
//                       true shape, both ways, in shares of the box's diagonal; absent for an empty mesh
//   untouched_kept      at most kUntouchedShare
//   edit_right          edited_right and untouched_kept
// The last three do without what an edit does not leave.
inline constexpr double kUntouchedShare = 0.03;
std::map<std::string, double> score_edit(const tokenizers::DecodedShape& shape, const geometry::Mesh& mesh,
                                         const EvaluationObject& object, bool class_kept, int resolution);

}  // namespace omni::evaluation
