#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <vector>

#include "omni/generation/make_samples.h"
#include "omni/model/bundle.h"
#include "omni/training/stage_config.h"
#include "stage_data.h"

namespace omni::training {

// What a stage's weights make of the same conditions and seeds as it goes on: <output>/samples/step-N/.
class StageSamples {
 public:
  // From documents of the data, or from config.sample_prompts, each by every task of the mixture that starts from
  // one text alone. `limited`: other ranks wait meanwhile. Config and bundle must outlive it. Throws Error(usage)
  // for a prompt that is too long and where no task takes one.
  StageSamples(const StageConfig& config, const StageData& data, const model::Bundle& bundle, bool limited);

  // Writes the folder of a step, whole or not at all: samples.json, meshes, pictures and texts, and sheet.png. What
  // cannot be made is told there and in a warning. Gives up when the run is to stop, and where others wait, after
  // half of timeouts.call_minutes.
  void make(std::int64_t step);

 private:
  // Where a sample starts and what it may be compared with.
  struct Subject {
    std::optional<SampleDocument> document;  // nothing: a prompt
    // Cells of the sheet.
    std::vector<image::Image> conditions, truth;
  };
  void add(const std::string& prompt, const sequence::Task& task);
  void add(SampleDocument document);
  void draw_subjects();
  // Throws where it is to be given up.
  void require_time() const;
  void write(std::int64_t step);

  const StageConfig& config_;
  const model::Bundle& bundle_;
  std::vector<Subject> subjects_;
  std::vector<generation::GenerationRequest> requests_;  // of the same number
  bool drawn_ = false;
  double seconds_limit_ = std::numeric_limits<double>::infinity();
  std::chrono::steady_clock::time_point begun_;
};

// Removes the samples of steps after `done_steps`, and what a killed process left half-written.
void forget_samples(const std::filesystem::path& output, std::int64_t done_steps);

}  // namespace omni::training
