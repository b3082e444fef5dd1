#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <string_view>

#include "object_class.h"

namespace omni::data {
namespace {

// Of the distance to the next bin's centre: how far a bin reaches towards it, so that three tenths of the
// scale lie between bins, and how far an outermost bin reaches outwards, where parts soon get too thin to be
// seen.
constexpr float kReach = 0.35f, kOutwardReach = 0.15f;

// The least words of scales; the bins of an attribute are in ascending order.
constexpr std::array<std::string_view, 6> kLeastWords = {"short", "narrow", "thin",
                                                         "small", "low",    "shallow"};

}  // namespace

bool is_measured(const AttributeSpec& attribute) {
  return std::find(kLeastWords.begin(), kLeastWords.end(), attribute.words.front()) != kLeastWords.end();
}

float Bins::pick(int attribute, std::initializer_list<float> dimensions) const {
  const auto bin = static_cast<std::size_t>(values_[attribute]);
  const float* centres = dimensions.begin();
  const float place = places_.empty() ? 0.0f : places_[attribute];
  if (place == 0 || dimensions.size() < 2) return centres[bin];
  const bool has_next = place < 0 ? bin > 0 : bin + 1 < dimensions.size();
  const std::size_t next = (place < 0) == has_next ? bin - 1 : bin + 1;
  const float gap = std::abs(centres[next] - centres[bin]), rises = centres[1] > centres[0] ? 1.0f : -1.0f;
  return centres[bin] + rises * place * gap * (has_next ? kReach : kOutwardReach);
}

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
