#include "omni/core/system_info.h"

#include <cpuid.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace omni {

CpuFeatures detect_cpu_features() {
  CpuFeatures features;
  __builtin_cpu_init();
  features.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  features.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  features.avx512_bf16 = features.avx512 && __builtin_cpu_supports("avx512bf16");
  features.avx512_vnni = features.avx512 && __builtin_cpu_supports("avx512vnni");
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
    features.amx_bf16 = ((d >> 22) & 1) != 0;
    features.amx_int8 = ((d >> 25) & 1) != 0;
  }
  return features;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (!line.starts_with("model name")) continue;
    const auto colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::uint64_t memory_bytes() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE));
}

namespace {

// "MemAvailable:  123 kB" or "file 123": the number after `name`.
std::optional<std::uint64_t> number_after(const char* path, std::string_view name) {
  std::ifstream file(path);
  std::string word;
  for (std::uint64_t number = 0; file >> word;)
    if (word == name && file >> number) return number;
  return std::nullopt;
}

std::optional<std::uint64_t> number_in(const char* path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;  // "max", or no such file
}

}  // namespace

std::uint64_t available_memory_bytes() {
  const auto kilobytes = number_after("/proc/meminfo", "MemAvailable:");
  std::uint64_t free = kilobytes ? *kilobytes * 1024 : memory_bytes();
  const auto limit = number_in("/sys/fs/cgroup/memory.max"),
             taken = number_in("/sys/fs/cgroup/memory.current");
  if (!limit || !taken) return free;
  // Pages of files go when memory is wanted.
  const std::uint64_t held =
      *taken - std::min(*taken, number_after("/sys/fs/cgroup/memory.stat", "file").value_or(0));
  return std::min(free, *limit - std::min(*limit, held));
}

int running_tasks() {
  // "0.20 0.18 0.12 1/80 11206": the fourth is running of all.
  std::ifstream file("/proc/loadavg");
  std::string minute, five_minutes, quarter_hour;
  int running = 0;
  file >> minute >> five_minutes >> quarter_hour >> running;
  return std::max(1, running);
}

}  // namespace omni
