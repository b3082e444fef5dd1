#include "devices_option.h"

#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/parallel.h"
#include "omni/distributed/launch_environment.h"
#include "omni/distributed/local_launcher.h"
#include "omni/kernels/cuda_plugin.h"
#include "options.h"

namespace omni::tools {
namespace {

void refuse_too_many(int devices, const std::string& device) {
  if (device == "cuda") {
    kernels::require_gpu("training");
    const int gpus = kernels::cuda_plugin_status().devices;
    if (devices > gpus)
      fail(ErrorKind::usage, "--devices ", devices, ": this host shows ", gpus, gpus == 1 ? " GPU" : " GPUs",
           ". Give at most that, or see CUDA_VISIBLE_DEVICES");
    return;
  }
  constexpr int kRanksPerCore = 4;  // more would only wait for each other
  const int most = kRanksPerCore * hardware_threads();
  if (devices > most)
    fail(ErrorKind::usage, "--devices ", devices, ": this host has ", hardware_threads(),
         " cores, which take at most ", most, " ranks. Give fewer");
}

}  // namespace

void add_devices_option(CLI::App& command, int& devices) {
  constexpr double kMost = 4096;  // what the host can take is checked when the device is known
  add_number(command, "--devices", devices, {1, kMost},
             "train with this many processes on this host, one for each GPU or share of the cores");
}

bool ran_as_local_ranks(int devices, const std::string& device) {
  const distributed::LaunchEnvironment launch = distributed::read_launch_environment();
  if (launch.launcher == "omni" || devices == 1) return false;
  if (launch.world_size > 1)
    fail(ErrorKind::usage, "--devices ", devices, ": ", launch.launcher, " has started ", launch.world_size,
         " ranks already. Leave --devices away");
  refuse_too_many(devices, device);
  const int code = distributed::launch_local_ranks({.ranks = devices});
  if (code != 0) throw CLI::RuntimeError(code);
  return true;
}

bool is_first_rank() { return distributed::read_launch_environment().rank == 0; }

void leave_news_to_first_rank(const CLI::App& command) {
  const CLI::App* program = &command;
  while (program->get_parent() != nullptr) program = program->get_parent();
  if (!is_first_rank() && program->count("--log") == 0) set_log_level(LogLevel::warning);
}

}  // namespace omni::tools
