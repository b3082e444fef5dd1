#include "rank_start.h"

#include <algorithm>
#include <chrono>

#include "omni/distributed/launch_environment.h"
#include "omni/kernels/cpu_memory.h"
#include "omni/kernels/cuda_plugin.h"

namespace omni::training {
namespace {

at::Device device_of(const RankSettings& settings, const distributed::LaunchEnvironment& launch) {
  if (settings.device == "cpu") return at::kCPU;
  const int index = distributed::device_index(launch, kernels::cuda_plugin_status().devices);
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

distributed::RankTimes times_of(const RankSettings& settings) {
  const auto milliseconds = [](double seconds) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(1000 * seconds));
  };
  distributed::RankTimes times{.start = milliseconds(60 * settings.start_minutes),
                               .call = milliseconds(60 * settings.call_minutes),
                               .silence = milliseconds(settings.silence_seconds)};
  times.heartbeat = std::min(times.heartbeat, times.silence / 4);  // one late heartbeat is no silence
  return times;
}

}  // namespace

void describe(ConfigVisitor& visitor, RankSettings& settings) {
  visitor.choice("device", settings.device, {"cpu", "cuda"});
  visitor.section("timeouts", [&](ConfigVisitor& section) {
    section.number("start_minutes", settings.start_minutes, {0.01, 1e5});
    section.number("call_minutes", settings.call_minutes, {0.01, 1e5});
    section.number("silence_seconds", settings.silence_seconds, {2, 1e6});
  });
}

void run_on_ranks(const RankSettings& settings,
                  const std::function<void(distributed::Ranks& ranks, at::Device device)>& work) {
  constexpr const char* kTraining = "training";
  if (settings.device == "cuda") kernels::require_gpu(kTraining);
  kernels::keep_freed_memory();
  const distributed::LaunchEnvironment launch = distributed::read_launch_environment();
  const at::Device device = device_of(settings, launch);
  if (device.is_cuda()) kernels::require_capable_gpu(kTraining, device.index());
  distributed::run_ranks(launch, device, times_of(settings), [&](distributed::Ranks& ranks) {
    // Steps would be as fast as the slowest GPU, and their bits those of none.
    if (device.is_cuda()) ranks.compare({{"kind of GPU", kernels::describe_gpu(device.index()).text()}});
    work(ranks, device);
  });
}

std::string text_of_first_rank(const std::string& text, distributed::Collectives& collectives,
                               at::Device device) {
  const at::Tensor length = at::full({1}, static_cast<std::int64_t>(text.size()), at::kLong).to(device);
  collectives.broadcast(length, 0).wait();
  at::Tensor letters = at::zeros({length.item<std::int64_t>()}, at::kByte);
  if (collectives.rank() == 0) std::copy(text.begin(), text.end(), letters.mutable_data_ptr<std::uint8_t>());
  if (letters.numel() == 0) return {};
  letters = letters.to(device);
  collectives.broadcast(letters, 0).wait();
  letters = letters.cpu();
  const auto* first = letters.const_data_ptr<std::uint8_t>();
  return {first, first + letters.numel()};
}

}  // namespace omni::training
