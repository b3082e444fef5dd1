#include "omni/data/object_source.h"

namespace omni::data {

ObjectRecord ObjectSource::describe(std::int64_t index) const {
  ObjectRecord record = load(index);
  record.mesh = {};
  record.field.reset();
  record.longest_side_m = 1;
  return record;
}

std::unique_ptr<const geometry::SolidField> ObjectSource::field(std::int64_t index) const {
  return std::move(load(index).field);
}

}  // namespace omni::data
