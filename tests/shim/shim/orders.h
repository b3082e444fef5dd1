#pragma once

#include <cstdint>
#include <string>

#include "shim/machine.h"

namespace omni::shim {

// The schedules under which every kernel is run: forward, reversed and two random ones.
struct NamedSchedule {
  std::string name;
  Schedule schedule;
};
constexpr int kSchedules = 4;
inline NamedSchedule schedule_of(int i, bool shuffle_blocks = true) {
  switch (i) {
    case 0:
      return {"forward", {Order::forward, 0, shuffle_blocks}};
    case 1:
      return {"reversed", {Order::reversed, 0, shuffle_blocks}};
    default:
      return {"random " + std::to_string(i),
              {Order::random, static_cast<std::uint64_t>(i) * 7919, shuffle_blocks}};
  }
}

// Calls run(), which launches kernels and returns what they wrote (something that can be compared bit by bit,
// such as a std::vector of integers or bytes), under every schedule. Returns the names of the schedules whose
// result differs from the forward one, empty where all are equal. `first` gets the forward result.
template <class Run, class Result>
std::string for_every_order(const Run& run, Result& first, bool shuffle_blocks = true) {
  std::string different;
  for (int i = 0; i < kSchedules; ++i) {
    const NamedSchedule named = schedule_of(i, shuffle_blocks);
    const ScopedSchedule scope(named.schedule);
    Result result = run();
    if (i == 0)
      first = std::move(result);
    else if (!(result == first))
      different += (different.empty() ? "" : ", ") + named.name;
  }
  return different;
}

}  // namespace omni::shim
