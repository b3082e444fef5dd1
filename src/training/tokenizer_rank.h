#pragma once

#include <filesystem>
#include <functional>

#include "omni/data/object_source.h"
#include "omni/distributed/ranks.h"
#include "omni/training/image_tokenizer_training.h"
#include "omni/training/shape_tokenizer_training.h"

namespace omni::training {

// What one rank does of the trainings that have these names without "_on_rank".

TokenizerTrainingSummary train_image_tokenizer_on_rank(const ImageTokenizerTrainingConfig& config,
                                                       const std::function<at::Tensor()>& images,
                                                       const std::filesystem::path& output,
                                                       const RunOptions& options, distributed::Ranks& ranks,
                                                       at::Device device);

// Without the measurement at the end.
TokenizerTrainingSummary train_shape_tokenizer_on_rank(const ShapeTokenizerTrainingConfig& config,
                                                       const data::ObjectSource& train,
                                                       const std::filesystem::path& output,
                                                       const RunOptions& options, distributed::Ranks& ranks,
                                                       at::Device device);

}  // namespace omni::training
