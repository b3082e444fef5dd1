#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "accumulation.h"
#include "agreement.h"
#include "cube3d_stage.h"
#include "full_sharding.h"
#include "gradient_reduction.h"
#include "omni/distributed/ranks.h"
#include "omni/kernels/tensor.h"
#include "omni/model/bundle.h"
#include "omni/training/trainer.h"
#include "pass_graph.h"
#include "run_budget.h"
#include "stage_checkpoints.h"
#include "stage_data.h"
#include "stage_memory.h"
#include "stage_optimizer.h"
#include "stage_samples.h"
#include "stage_validation.h"
#include "step_profile.h"
#include "step_report.h"

namespace omni::training {

// The run of a stage on one of its ranks. They take every step together; rank 0 alone writes to the output.
class StageRun {
 public:
  // Goes on from `checkpoint`, if there is one. Compares with the other ranks what must be equal on all.
  // Config and ranks must outlive it.
  StageRun(const StageConfig& config, const std::optional<checkpoint::CheckpointReader>& checkpoint,
           const std::vector<std::string>& allowed_changes, distributed::Ranks& ranks, at::Device device);
  // Makes the output ready for the run. The checkpoint's files may go afterwards.
  void begin(const std::optional<checkpoint::CheckpointReader>& checkpoint);
  // Of the run to come; see StepProfile.
  void profile(StepRange steps);
  TrainingSummary run();

 private:
  using Clock = std::chrono::steady_clock;
  // A step that is about to be taken, and what this rank tells the others of it.
  struct Coming {
    std::vector<model::PreparedBatch> batches;
    StepHeader header;
    double loader_seconds = 0;

    std::int64_t bytes() const;  // of the batches
  };
  struct BestValidation {
    std::int64_t step;
    double loss;
  };

  void restore(const checkpoint::CheckpointReader& checkpoint,
               const std::vector<std::string>& allowed_changes);
  void compare_ranks();
  void seal_parameters();
  void restrict_rows();
  double seconds_now() const;
  double peak_seconds_per_token() const;
  std::uint64_t dropout_seed() const;  // of the next step
  Coming coming(std::int64_t step);
  StepSums take_step(const Coming& now, const StepHeader& agreed);
  StepSums take_passes(const Coming& now, const StepHeader& agreed);
  void note_skipped(const at::Tensor& skipped);
  void refuse_endless_skipping() const;
  bool checkpoint_due(const StepHeader& agreed) const;
  void save(const StepReport& report);
  bool validation_due(bool over) const;
  // Measures and writes the losses on held-out objects. Returns whether they are the lowest so far.
  bool validate(RunMetrics* metrics, StepReport& report);
  // Before the first step, and at the end.
  void measure_earlier_tasks();
  std::vector<EarlierLoss> earlier_losses(RunMetrics* metrics);
  // Rank 0 makes samples where it is time.
  void sample(const StepHeader& agreed, bool over, StepReport& report);
  // Writes what is to be written after a step; ends the run where it was asked to stop.
  void end_step(const StepHeader& agreed, bool over, bool best, const StepReport& report);
  void note_words();  // of the captions that the stage reads, in the bundle
  std::filesystem::path finish();

  const StageConfig& config_;
  distributed::Ranks& ranks_;
  distributed::Collectives& collectives_;
  at::Device device_;
  std::filesystem::path output_;
  RunBudget budget_;
  std::unique_ptr<const Cube3dStage> cube3d_;  // null where the stage is about a bundle
  model::Bundle bundle_;
  LossWeights weights_;
  std::unique_ptr<StageOptimizer> optimizer_;
  std::unique_ptr<FullSharding> sharding_;  // null where the blocks are whole
  std::unique_ptr<GradientReduction> reduction_;
  std::optional<PassGraph> graph_;  // where the config wants it
  std::unique_ptr<StageData> data_;
  std::optional<StageValidation> validation_, earlier_;
  std::optional<StageSamples> samples_;  // on rank 0
  std::unique_ptr<StageCheckpoints> checkpoints_;
  std::unique_ptr<StageMemory> memory_;
  std::optional<StepProfile> profile_;
  Agreement agreement_;
  checkpoint::RunState state_;
  double seconds_before_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_checkpoint_ = start_;
  std::int64_t last_checkpoint_step_ = 0;
  std::optional<BestValidation> best_;
  std::map<std::string, double> earlier_before_;  // task -> loss before the first step
  double learning_rate_ = 0;
  double loader_seconds_ = 0, compute_seconds_ = 0;  // of the last step
  std::int64_t activation_bytes_ = 0;                // likewise, see StageMemory
  double peak_seconds_per_token_ = 0;                // see StepReport
  // On the device, of the last step: the gradient's norm, and how many steps in a row were skipped.
  at::Tensor gradient_norm_, skipped_in_a_row_;
  at::Tensor most_skipped_;  // in a row, so far
  bool resumed_ = false;
};

}  // namespace omni::training
