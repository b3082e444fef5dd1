#include "rank_program.h"

#include <iostream>

#include "omni/core/error.h"
#include "omni/kernels/cuda_plugin.h"

at::Device omni::distributed::test_device() {
  const at::Device device(variable("DEVICE", "cpu"));
  if (!device.is_cpu()) kernels::require_gpu("a test");
  return device;
}

int main(int argument_count, char** arguments) {
  using namespace omni::distributed;
  try {
    std::map<std::string, Scenario> scenarios = collective_scenarios();
    scenarios.merge(failure_scenarios());
    scenarios.merge(launch_scenarios());
    scenarios.at(argument_count > 1 ? arguments[1] : "")();
  } catch (const omni::Error& error) {
    std::cerr << "omni: " << error.what() << '\n';
    return omni::exit_code(error.kind());
  } catch (const std::exception& error) {
    std::cerr << "no omni::Error: " << error.what() << '\n';
    return omni::exit_code(omni::ErrorKind::internal);
  }
  return 0;
}
