#pragma once

#include <set>
#include <vector>

#include "evaluation_set.h"
#include "omni/evaluation/result_log.h"
#include "omni/evaluation/sweep_config.h"
#include "omni/model/bundle.h"
#include "sample_files.h"
#include "training_references.h"
#include "training_tokens.h"

namespace omni::evaluation {

// One unit of a sweep's work: samples of one task under one setting, or the controls, over a few objects.

inline constexpr const char* kControlsTask = "controls";

struct SampleUnit {
  const SweepTask* task = nullptr;
  const SweepSetting* setting = nullptr;
  std::int64_t seed = 0;
  std::vector<std::size_t> objects;
  std::vector<std::size_t> foreign;  // by object: whose shape it is compared with in vain; empty: none
  std::set<std::size_t> pictured;    // objects that get pictures
  std::string file_prefix;
};

// Whose true shape each of `objects` is compared with as a control: a fixed permutation without fixed points.
std::vector<std::size_t> derange(const std::vector<std::size_t>& objects);

class UnitRunner {
 public:
  UnitRunner(const SweepConfig& config, EvaluationSet& set, SampleFiles files)
      : config_(config), set_(set), files_(std::move(files)), references_(config) {}

  std::vector<SampleResult> run_samples(const model::Bundle& bundle, const SampleUnit& unit);
  std::vector<SampleResult> run_controls(const model::Bundle& bundle,
                                         const std::vector<std::size_t>& objects);

 private:
  const ShapeReader* reader();
  // Of the sweep's training shards, for the bundle's tokenizers; null without shards.
  const TrainingTokens* training_tokens(const model::Bundle& bundle);
  std::vector<tokenizers::ShapeCodes> encode_true_shapes(const model::Bundle& bundle,
                                                         const std::vector<std::size_t>& objects,
                                                         bool before) const;
  void add_edit_controls(const model::Bundle& bundle, const std::vector<std::size_t>& objects,
                         const ShapeReader& reader, std::vector<SampleResult>& results) const;
  void add_picture_retrieval(const model::Bundle& bundle, const TrainingTokens& training,
                             const SampleUnit& unit,
                             const std::vector<generation::GenerationRequest>& requests,
                             std::vector<SampleResult>& results);

  const SweepConfig& config_;
  EvaluationSet& set_;
  SampleFiles files_;
  TrainingReferences references_;
  std::unique_ptr<const TrainingTokens> training_tokens_;
  tokenizers::TokenFormat training_format_;  // of the tokenizers that those were opened for
};

}  // namespace omni::evaluation
