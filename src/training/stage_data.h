#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "omni/data/batch_source.h"
#include "omni/data/prefetch_loader.h"
#include "omni/model/bundle.h"
#include "omni/training/stage_config.h"

namespace omni::training {

// Throws Error(usage) where a step has fewer micro-batches than there are ranks.
void require_batch_for_each_rank(const StageConfig& config, int ranks);

// A document of a task, all conditions shown, and the split of its object.
struct SampleDocument {
  sequence::Task task;
  sequence::Document document;
  data::Split split;
};

// What the documents of a stage are made of, and how they are laid out.
struct DocumentForm {
  tokenizers::TokenFormat tokens;
  sequence::Vocabulary vocabulary;
  sequence::SequenceLayout layout;
  std::optional<data::BatchOptions::OwnLayout> own_layout;  // absent: the grammar's
  std::optional<sequence::ConditionFeatures> features;      // absent: texts are shown as tokens

  static DocumentForm of(const StageConfig& config, const model::Bundle& bundle);
};

// The batches of a stage.
class StageData {
 public:
  // Opens the shards and checks that the bundle's tokenizers made them and that the model can do every task
  // of the mixture. Of a step's micro-batches this rank gets each `ranks`-th, from number `rank` on: which
  // they are does not depend on how many ranks there are. Throws Error(io), Error(input) or Error(usage), also
  // for more ranks than micro-batches.
  StageData(const StageConfig& config, const model::Bundle& bundle, int rank = 0, int ranks = 1)
      : StageData(config, bundle, DocumentForm::of(config, bundle), rank, ranks) {}
  StageData(const StageConfig& config, const model::Bundle& bundle, const DocumentForm& form, int rank,
            int ranks);

  // All micro-batches of a step.
  std::vector<sequence::PackedSequence> step(std::int64_t number) const;
  // Starts to make the micro-batches of `first_step` and after and to prepare them for `transformer`, on a
  // background thread, until stop(): the transformer stays as it is that long but for its weights' values.
  void start(std::int64_t first_step, const model::Transformer& transformer);
  void stop() { loader_.reset(); }
  // This rank's micro-batches of the next step.
  std::vector<model::PreparedBatch> next_step();
  std::int64_t bytes_ahead() const { return bytes_ahead_; }  // of the micro-batches that wait for it
  // What losses are measured on: sequences without noise, always the same. 0 <= number < config.validation_batches.
  sequence::PackedSequence measured_batch(const data::BatchSource& source, std::int64_t number) const;
  // Of objects that no step has; null where the config wants no validation.
  const data::BatchSource* validation_source() const { return validation_source_.get(); }
  // Of the config's earlier tasks, of held-out objects where the shards have such, else of those that are trained
  // on; null where it names none.
  const data::BatchSource* earlier_source() const { return earlier_source_.get(); }
  // config.samples documents, of the tasks of the mixture in turn: of objects that no step shows, where the shards
  // have such of the validation's split, else of the training split. Without noise, shapes at full length. Always
  // the same.
  std::vector<SampleDocument> sample_documents(const StageConfig& config, const model::Bundle& bundle) const;
  const data::BatchSource& source() const { return *source_; }
  model::PrepareOptions prepare_options(const data::BatchSource& source) const;
  std::uint64_t fingerprint() const { return fingerprint_; }  // of the shards' content

 private:
  using WeightedTasks = std::vector<data::BatchSource::WeightedTask>;
  struct RangeWeight {
    sequence::TokenRange range;
    float factor;
  };
  void open_validation(const StageConfig& config, const model::Bundle& bundle, const DocumentForm& form,
                       const WeightedTasks& tasks);
  void open_earlier(const StageConfig& config, const model::Bundle& bundle, const DocumentForm& form);
  sequence::PackedSequence make_batch(const data::BatchSource& source, std::int64_t step,
                                      std::int64_t number) const;

  // What all micro-batches of the run are laid out in if they fit, measured on the first of them: the same whenever it
  // goes on.
  std::shared_ptr<const model::BatchCapacity> measured_capacity(const model::Transformer& transformer) const;

  std::vector<RangeWeight> range_weights_;
  std::int64_t batches_per_step_;
  std::int64_t rank_, ranks_;
  std::int64_t own_per_step_ = 0;
  std::int64_t steps_;
  std::uint64_t fingerprint_ = 0;
  std::shared_ptr<const data::TokenDataset> dataset_;
  std::unique_ptr<data::BatchSource> source_, validation_source_, earlier_source_;
  bool full_softmax_;
  std::int64_t fixed_positions_;  // of each micro-batch; 0: they vary
  std::atomic<std::int64_t> bytes_ahead_ = 0;
  std::unique_ptr<data::PrefetchLoader<model::PreparedBatch>> loader_;
};

}  // namespace omni::training
