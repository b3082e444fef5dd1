#include "memory_parts.h"

#include <cstdio>

namespace omni::training {

std::vector<std::pair<std::string, double>> MemoryParts::by_name() const {
  return {{"weights", weights},
          {"gradients", gradients},
          {"fp32 of bf16 weights", masters},
          {"optimizer", moments},
          {"activations", activations},
          {"checkpoint copy", checkpoint_copy},
          {"batches", batches},
          {"other", other}};
}

double MemoryParts::sum() const {
  double sum = 0;
  for (const auto& [name, bytes] : by_name()) sum += bytes;
  return sum;
}

MemoryParts memory_of(const nn::ParameterStore& parameters) {
  MemoryParts parts;
  const auto add = [](double& sum, const at::Tensor& tensor) { sum += static_cast<double>(tensor.nbytes()); };
  for (const nn::Parameter& parameter : parameters.all()) {
    if (parameter.trainable) continue;
    add(parts.weights, parameter.value);
    if (parameter.value.scalar_type() != at::kFloat) add(parts.masters, parameter.master);
  }
  for (const nn::ParameterUnit& unit : parameters.units()) {
    for (const nn::ParameterSection& section : unit.sections) {
      add(parts.weights, section.values);
      add(parts.gradients, section.gradients);
      // fp32 values are their own masters.
      if (section.values.scalar_type() != at::kFloat) add(parts.masters, section.masters);
    }
  }
  return parts;
}

std::string memory_table(const MemoryParts& parts, const std::string& start) {
  std::string table;
  for (const auto& [name, bytes] : parts.by_name()) {
    if (bytes == 0) continue;
    char line[64];
    std::snprintf(line, sizeof line, "%-22s%9.3f GB\n", name.c_str(), bytes / 1e9);
    table += start + line;
  }
  return table;
}

}  // namespace omni::training
