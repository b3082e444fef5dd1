#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "omni/sequence/grammar.h"

namespace omni::model {

// For how much the arrays of a prepared batch have room. Batches that are laid out in the same room differ in their
// numbers and not in their shapes: what they leave free is filled with rows that weigh nothing.
struct BatchCapacity {
  // Positions of one target modality whose targets compete with the same tokens.
  struct Group {
    std::size_t modality = 0;  // sequence::Modality
    sequence::AllowedTokens allowed;
    std::int64_t rows = 0;
  };

  // Positions: of text and of generated modalities, where each has a stream of its own; else of both in the first.
  std::array<std::int64_t, 2> rows{};
  bool two_streams = false;
  std::vector<std::int64_t> codes;     // positions of each range whose rows start from a codebook
  std::vector<std::int64_t> features;  // positions of each input of features
  std::vector<Group> groups;           // of the loss, in a fixed order

  std::int64_t positions() const { return rows[0] + rows[1]; }
  std::int64_t loss_rows() const;
  // As large as both; groups that are new come last.
  void include(const BatchCapacity& other);
  // With `share` more of everything, and a position to spare, in whole multiples of kRowMultiple. At least so many
  // `positions` where there is one stream, and no more of anything else.
  BatchCapacity with_room(double share, std::int64_t positions) const;
  // What there is too little of for `needed`, with numbers; empty where it fits.
  std::string lack_for(const BatchCapacity& needed) const;

  // The CPU's matrix library compiles a kernel for each shape that it meets, which takes longer than to run it:
  // row counts are rounded up to a multiple, so that a run meets few shapes.
  static constexpr std::int64_t kRowMultiple = 128;
};

}  // namespace omni::model
