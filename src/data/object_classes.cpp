#include <iterator>

#include "object_class.h"

namespace omni::data {

const std::vector<ObjectClass>& object_classes() {
  static const std::vector<ObjectClass> classes = [] {
    std::vector<ObjectClass> all;
    for (auto group : {primitive_classes, furniture_classes, tableware_classes, building_classes,
                       nature_classes, vehicle_classes, toy_classes, relation_classes}) {
      std::vector<ObjectClass> rows = group();
      all.insert(all.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
    }
    return all;
  }();
  return classes;
}

}  // namespace omni::data
