#include "omni/generation/decoding_threads.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdlib>

#include "omni/core/system_info.h"

namespace omni::generation {
namespace {

// Above, a step reads more weights than caches hold, and every core helps, though it comes late.
constexpr std::int64_t kSmallModel = 50'000'000;
// Fewer do not share enough work to wake a thread for.
constexpr std::int64_t kFewSequences = 4;

}  // namespace

int decoding_threads(const DecodingLoad& load) {
  const int idle = load.cores - (load.running - 1);
  if (load.weights > kSmallModel) return idle > 0 ? load.cores : 1;
  if (load.sequences <= kFewSequences) return 1;
  return std::clamp(idle, 1, load.cores);
}

int decoding_threads(std::int64_t weights, std::int64_t sequences) {
  const int threads = at::get_num_threads();
  if (std::getenv("OMP_NUM_THREADS") != nullptr) return threads;
  return decoding_threads(
      {.weights = weights, .sequences = sequences, .cores = threads, .running = running_tasks()});
}

}  // namespace omni::generation
