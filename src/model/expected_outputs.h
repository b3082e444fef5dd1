#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "omni/core/safetensors.h"
#include "omni/kernels/tensor.h"

namespace omni::model {

// A file of inputs and outputs that a reference implementation saved.
class ExpectedOutputs {
 public:
  explicit ExpectedOutputs(const std::filesystem::path& path) : file_(path) {}
  // Tensors in the wanted shape, -1 leaving a size open, as int64 and as fp32. Throw Error(input) naming file and tensor
  // where it is missing, of another kind, of another shape or empty.
  at::Tensor integers(const std::string& name, const std::vector<std::int64_t>& shape) const;
  at::Tensor reals(const std::string& name, const std::vector<std::int64_t>& shape) const;
  // Integers that are ids of a vocabulary of `count`. Throws also where one is not.
  at::Tensor ids(const std::string& name, const std::vector<std::int64_t>& shape, std::int64_t count) const;
  const std::map<std::string, std::string>& metadata() const { return file_.metadata(); }
  const std::string& name() const { return file_.name(); }

 private:
  at::Tensor tensor(const std::string& name, const std::vector<std::int64_t>& shape) const;
  SafetensorsFile file_;
};

}  // namespace omni::model
