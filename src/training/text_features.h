#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "omni/model/bundle_text_tower.h"
#include "omni/sequence/packed_sequence.h"

namespace omni::training {

// The features of captions, computed once for each by a frozen text tower and kept on disk.
class TextFeatures {
 public:
  // Keeps them in `folder`, which is made when it is needed. A folder belongs to one tower.
  TextFeatures(std::shared_ptr<const model::TextTower> tower, std::filesystem::path folder)
      : tower_(std::move(tower)), folder_(std::move(folder)) {}

  std::int64_t rows() const { return tower_->rows(); }
  std::int64_t width() const { return tower_->width(); }
  // [rows, width] row by row: the last hidden states of a caption's tokens, cut off where they are too many; of no tokens, of
  // the empty text. From any thread, and for several processes at once. Throws Error(io).
  std::vector<float> of(const std::vector<std::int32_t>& tokens) const;

 private:
  std::shared_ptr<const model::TextTower> tower_;
  std::filesystem::path folder_;
};

// Where a run keeps the features of the tower whose folder has that content.
std::filesystem::path text_features_folder(const std::filesystem::path& output, std::uint64_t tower);

// What a bundle with that tower, whose transformer has that configuration, is shown of texts that are conditions, kept in a run's
// output. Of the tower's sizes alone zeros, and nothing is kept.
sequence::ConditionFeatures condition_features(const model::BundleTextTower& tower,
                                               const model::TransformerConfig& config,
                                               const std::filesystem::path& output);

}  // namespace omni::training
