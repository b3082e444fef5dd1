#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "omni/data/token_dataset.h"

namespace omni::data {

// Two objects of one class that differ in one attribute, and the words that lead from one to the other.
struct EditPair {
  std::int64_t before = 0, after = 0;  // objects of the data set
  std::string instruction;             // "make the seat green"
};

// Pairs among `objects`, in an order that depends on the data alone; each object starts at most
// `maximum_per_object` of them. Objects without attributes give none. Throws Error(input) for attributes that
// cannot be read.
std::vector<EditPair> find_edit_pairs(const TokenDataset& dataset, const std::vector<std::int64_t>& objects,
                                      std::size_t maximum_per_object = 8);

// The words for attribute `name` becoming `value`. They name the new value, since bins alone do not tell what
// is taller: "make it green" for a colour of the whole, "make the seat green" for "seat colour", "change the
// legs to four" otherwise.
std::string edit_instruction(const std::string& name, const std::string& value);

}  // namespace omni::data
