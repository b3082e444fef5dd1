#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

namespace omni::nn {

// Leaves of a sealed store start at multiples of this many bytes.
constexpr std::int64_t kLeafAlignmentBytes = 256;

// The parameters of one unit, one optimiser group and one type, end to end. Their order and places follow from
// the network alone. Between them lie gaps, which are zero in every buffer and stay so.
struct ParameterSection {
  struct Member {
    std::size_t parameter;      // index into ParameterStore::all()
    std::int64_t first, count;  // elements
  };
  int group = 0;
  std::vector<Member> members;
  at::Tensor values;     // [size] in the type of the leaves, which are views of it
  at::Tensor masters;    // [size] fp32; `values` itself where that is fp32
  at::Tensor gradients;  // [size] fp32, part of the unit's
  std::int64_t size() const { return values.numel(); }
};

// What is gathered, reduced and freed as one. It has tensors once its store is sealed.
struct ParameterUnit {
  enum class Kind { root, block, final };
  std::string name;  // prefix of its parameters; "" for the root
  Kind kind = Kind::root;
  at::Tensor gradients;  // [size] fp32: those of the sections, one after the other
  std::vector<ParameterSection> sections;
};

}  // namespace omni::nn
