#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "object_class.h"
#include "omni/data/object_source.h"

namespace omni::data {

// Which combinations of one class are kept from training. Geometries are numbered within the class.
struct HeldOut {
  std::vector<std::uint8_t> new_instance, attribute, count;  // per geometry: 1 if the rule holds it out
  std::vector<std::uint8_t> colour;                          // per palette entry, of the main colour
};

// Rule by rule for every class of the table, from the seed.
std::vector<HeldOut> choose_held_out(const std::vector<ObjectClass>& classes, std::uint64_t seed);

// The bins of a geometry, first attribute slowest.
std::vector<int> decode_bins(const ObjectClass& kind, std::int64_t geometry);
std::int64_t geometry_count(const ObjectClass& kind);

std::optional<Split> split_of(const HeldOut& held, std::int64_t geometry, int main_colour);

}  // namespace omni::data
