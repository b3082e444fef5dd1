#include "omni/evaluation/shape_reader.h"

namespace omni::evaluation {

void ShapeReader::add(geometry::OccupancyBits shape, std::string class_name) {
  shapes_.push_back(std::move(shape));
  classes_.push_back(std::move(class_name));
}

std::string ShapeReader::class_of(const geometry::OccupancyBits& shape,
                                  const geometry::OccupancyBits* without) const {
  double best = -1;
  std::string name;
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    if (without != nullptr && shapes_[i] == *without) continue;
    const double overlap = intersection_over_union(shape, shapes_[i]);
    if (overlap > best) {
      best = overlap;
      name = classes_[i];
    }
  }
  return name;
}

}  // namespace omni::evaluation
