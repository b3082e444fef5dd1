#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "omni/core/weight_source.h"
#include "omni/nn/parameters.h"

namespace omni::model {

// A tensor of a published file, and the rows of parameters that it is (a row: an entry of the first dimension).
struct PublicTensor {
  struct Piece {
    std::string parameter;
    std::int64_t parameter_row = 0;  // the first there
    std::int64_t tensor_row = 0;     // the first here
    std::int64_t rows = 0;
  };
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<Piece> pieces;
};

// Where a network's parameters lie in the files that its publisher gives: the one description that reading, checking,
// counting and copying follow.
class PublicLayout {
 public:
  // The whole tensor, from a row of a parameter on.
  void add(std::string name, std::vector<std::int64_t> shape, std::string parameter,
           std::int64_t parameter_row = 0);
  // name + ".weight" and name + ".bias" [rows of shape] of a linear layer, as those of `parameter`.
  void add_linear(const std::string& name, std::int64_t rows, std::int64_t columns,
                  const std::string& parameter, std::int64_t parameter_row = 0);
  void add(PublicTensor tensor) { tensors_.push_back(std::move(tensor)); }
  // Tensors that a file may hold beside those of the layout: of this name, or whose names begin with it.
  void ignore(const std::string& name) { ignored_.insert(name); }
  void ignore_prefix(const std::string& prefix) { ignored_prefixes_.push_back(prefix); }

  const std::vector<PublicTensor>& tensors() const { return tensors_; }
  std::int64_t element_count() const;
  bool ignores(const std::string& name) const;

 private:
  std::vector<PublicTensor> tensors_;
  std::set<std::string> ignored_;
  std::vector<std::string> ignored_prefixes_;
};

// Whether the source holds these tensors, of floating point and in these shapes, and no others of floating point. Nothing is
// read, and nothing is allocated by what a configuration says: to be asked before the network is built, whose size is
// bounded by the files then. Throws Error(input) naming the tensor, and what was expected.
void require_layout(const WeightSource& source, const PublicLayout& layout);

// Writes the tensors into the parameters of `stores`, in fp32; rows that no tensor gives are zero. Throws as
// require_layout, and for a tensor with an element that is not finite.
void read_weights(const WeightSource& source, const PublicLayout& layout,
                  std::span<nn::ParameterStore* const> stores);

// The same, but rows that no tensor gives stay as they are.
void overwrite_weights(const WeightSource& source, const PublicLayout& layout,
                       std::span<nn::ParameterStore* const> stores);

// One parameter of that shape, as read_weights would fill it. The layout was required before; throws for an element that
// is not finite.
at::Tensor read_parameter(const WeightSource& source, const PublicLayout& layout,
                          const std::string& parameter, at::IntArrayRef shape);

// One safetensors file of just these tensors, in the types that they have; `replaced`: by name, what is written in place of
// those of the source. Throws as read_weights, and Error(io).
void copy_weights(const WeightSource& source, const PublicLayout& layout, const std::filesystem::path& path,
                  const std::map<std::string, at::Tensor>& replaced = {});

}  // namespace omni::model
