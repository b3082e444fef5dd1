// The program that a rank of a test runs: "rank_program SCENARIO", with the variables of a launcher.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdlib>
#include <map>
#include <string>

namespace omni::distributed {

using Scenario = void (*)();
std::map<std::string, Scenario> collective_scenarios();
std::map<std::string, Scenario> failure_scenarios();
std::map<std::string, Scenario> launch_scenarios();

at::Device test_device();  // DEVICE, by default cpu

// What a test tells a rank beside the scenario.
inline std::string variable(const std::string& name, const std::string& otherwise) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? otherwise : value;
}

}  // namespace omni::distributed
