#pragma once

#include <cstdint>
#include <vector>

#include "omni/data/edit_instructions.h"
#include "omni/data/token_dataset.h"

namespace omni::data {

// Two objects of one class that differ in one attribute.
struct EditPair {
  std::int64_t before = 0, after = 0;  // objects of the data set
  std::size_t change = 0;              // in EditPairs::changes
};
struct EditPairs {
  std::vector<EditPair> pairs;
  std::vector<AttributeChange> changes;  // that lead from the first to the second; each once
};

// Pairs among `objects`, in an order that depends on the data alone; each object starts at most
// `most_per_attribute` of them under one attribute. Of the many pairs that differ in a colour no more are
// taken than there are others: a form is harder to change. Objects without attributes give none. Throws
// Error(input) for attributes that cannot be read.
EditPairs find_edit_pairs(const TokenDataset& dataset, const std::vector<std::int64_t>& objects,
                          std::size_t most_per_attribute = 2);

}  // namespace omni::data
