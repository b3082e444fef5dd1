#include "omni/tokenizers/shape_sample.h"

#include "omni/core/error.h"
#include "omni/data/object_source.h"
#include "primitive_solid.h"

namespace omni::data {

tokenizers::ShapeSample make_shape_sample(const ObjectRecord& record, const tokenizers::ShapeInput& input,
                                          CounterRng rng) {
  ensure(record.field != nullptr, "object ", record.id, " has no field");
  // A closed form's mesh is a union of overlapping components.
  const bool closed_form = dynamic_cast<const PrimitiveSolid*>(record.field.get()) != nullptr;
  return tokenizers::make_shape_sample(
      record.mesh, *record.field, input, rng,
      closed_form ? tokenizers::MeshSurface::partly_buried : tokenizers::MeshSurface::visible);
}

}  // namespace omni::data
