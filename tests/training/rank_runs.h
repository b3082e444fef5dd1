#pragma once

#include <ATen/Parallel.h>

#include <optional>

#include "omni/checkpoint/reader.h"
#include "run_output.h"
#include "stage_run.h"
#include "thread_ranks.h"

namespace omni::training {

// A whole run on several ranks, which are threads. Goes on from the newest checkpoint, if there is one.
inline TrainingSummary run_on_thread_ranks(const StageConfig& c, int ranks) {
  std::optional<checkpoint::CheckpointReader> resumed;
  if (const auto folder = resumed_checkpoint(c, Resume::automatic)) resumed.emplace(*folder);
  TrainingSummary summary;
  test::ThreadTexts texts;
  test::run_thread_ranks(ranks, [&](distributed::Collectives& collectives) {
    at::set_num_threads(1);
    test::ThreadRanks own(collectives, texts);
    StageRun run(c, resumed, {}, own, at::kCPU);
    run.begin(resumed);
    const TrainingSummary mine = run.run();
    if (collectives.rank() == 0) summary = mine;
  });
  return summary;
}

}  // namespace omni::training
