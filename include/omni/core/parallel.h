#pragma once

#include <cstdint>
#include <functional>

namespace omni {

int hardware_threads();  // at least 1

// Calls body(begin, end) over [0, count) in chunks of at most `grain`, on all cores. The chunks are the same
// for every thread count. The first exception is rethrown after all threads have stopped.
void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t)>& body);

}  // namespace omni
