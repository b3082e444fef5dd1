#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "omni/kernels/tensor.h"

namespace omni::nn {

// Leaves of a sealed store start at multiples of this many bytes.
constexpr std::int64_t kLeafAlignmentBytes = 256;

struct ElementRange {
  std::int64_t first = 0, count = 0;
};

// The parameters of one unit, one optimiser group and one type, end to end. Their order and places follow from
// the network alone, not from the ranks. Between them and at the end lie gaps, which are zero in every buffer
// and stay so.
//
// What optimisers work on may be sharded (Rajbhandari et al. 2020, arXiv 1910.02054, stage 1): each rank then
// owns a range of the elements, keeps their masters alone, and the values of the others come from their owners.
// Of a section that is sharded fully (stage 3) it keeps nothing else: values and gradients are there only from
// ParameterStore::hold_values() and hold_gradients() on, until they are released.
struct ParameterSection {
  struct Member {
    std::size_t parameter;      // index into ParameterStore::all()
    std::int64_t first, count;  // elements
  };
  int group = 0;
  std::vector<Member> members;
  std::vector<ElementRange> shards;  // of each rank; a single one of everything where nothing is sharded
  ElementRange owned;                // this rank's
  // [size] in the type of the leaves, which are views of it. Released, all are one NaN that takes no memory.
  at::Tensor values;
  at::Tensor masters;    // [owned] fp32; that range of `values` where those are fp32 and stay
  at::Tensor gradients;  // [size] fp32, part of the unit's; undefined while released
  // [owned] fp32: what was reduced to this rank so far. Defined where the section is fully sharded.
  at::Tensor reduced;

  std::int64_t size() const { return values.numel(); }
  bool is_sharded() const { return shards.size() > 1; }
  bool is_fully_sharded() const { return reduced.defined(); }
  bool has_own_masters() const { return is_fully_sharded() || values.scalar_type() != at::kFloat; }
  // The owned values that are to follow the masters; undefined where these are the values, and where values are
  // there only while they are held.
  at::Tensor following_values() const {
    return has_own_masters() && !is_fully_sharded() ? owned_part(values) : at::Tensor();
  }
  at::Tensor owned_gradients() const { return is_fully_sharded() ? reduced : owned_part(gradients); }
  at::Tensor owned_part(const at::Tensor& whole) const { return whole.narrow(0, owned.first, owned.count); }
};

// The part of a parameter that this rank owns, all of it where nothing is sharded.
struct OwnedPiece {
  std::size_t parameter;  // index into ParameterStore::all()
  ElementRange elements;  // of the parameter, in its own order
  std::int64_t first;     // of them in the owned range of the section
};
std::vector<OwnedPiece> owned_pieces(const ParameterSection& section);

// What is gathered, reduced and freed as one. It has tensors once its store is sealed.
struct ParameterUnit {
  enum class Kind { root, block, final };
  std::string name;  // prefix of its parameters; "" for the root
  Kind kind = Kind::root;
  at::Tensor gradients;  // [size] fp32: those of the sections, one after the other
  std::vector<ParameterSection> sections;

  // All sections of a store are, or none.
  bool is_sharded() const { return !sections.empty() && sections.front().is_sharded(); }
  // All of a unit.
  bool is_fully_sharded() const { return !sections.empty() && sections.front().is_fully_sharded(); }
};

}  // namespace omni::nn
