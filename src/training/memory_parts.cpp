#include "memory_parts.h"

#include <algorithm>
#include <cstdio>

namespace omni::training {

std::vector<std::pair<std::string, double>> MemoryParts::by_name() const {
  std::vector<std::pair<std::string, double>> parts = {{"weights", weights},
                                                       {"gradients", gradients},
                                                       {"fp32 of bf16 weights", masters},
                                                       {"optimizer", moments},
                                                       {"activations", activations}};
  if (gathered > 0) parts.emplace_back("gathered blocks", gathered);
  parts.insert(parts.end(), {{"checkpoint copy", checkpoint_copy}, {"batches", batches}});
  if (text_tower > 0) parts.emplace_back("text tower", text_tower);
  parts.emplace_back("other", other);
  return parts;
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
      if (section.is_fully_sharded()) {
        add(section.values.scalar_type() == at::kFloat ? parts.weights : parts.masters, section.masters);
        add(parts.gradients, section.reduced);
        continue;
      }
      add(parts.weights, section.values);
      add(parts.gradients, section.gradients);
      if (section.has_own_masters()) add(parts.masters, section.masters);
    }
  }
  return parts;
}

std::int64_t value_bytes(const nn::ParameterUnit& unit) {
  std::int64_t bytes = 0;
  for (const nn::ParameterSection& section : unit.sections)
    bytes += section.size() * static_cast<std::int64_t>(section.values.element_size());
  return bytes;
}

std::int64_t gradient_bytes(const nn::ParameterUnit& unit) {
  std::int64_t bytes = 0;
  for (const nn::ParameterSection& section : unit.sections)
    bytes += section.size() * static_cast<std::int64_t>(sizeof(float));
  return bytes;
}

double gathered_bytes(const nn::ParameterStore& parameters) {
  std::vector<double> values, gradients;  // of the blocks, in order
  for (const nn::ParameterUnit& unit : parameters.units()) {
    if (!unit.is_fully_sharded()) continue;
    values.push_back(static_cast<double>(value_bytes(unit)));
    gradients.push_back(static_cast<double>(gradient_bytes(unit)));
  }
  double most = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    most = std::max(most, values[i] + (i > 0 ? values[i - 1] : 0) + gradients[i] +
                              (i + 1 < values.size() ? gradients[i + 1] : 0));
  return most;
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
