#include "training_references.h"

#include <algorithm>

#include "omni/core/interrupt.h"
#include "omni/core/parallel.h"

namespace omni::evaluation {

const data::ObjectSource& TrainingReferences::source() {
  if (!source_) {
    const std::int64_t count =
        std::max(config_->controls.nearest_objects, config_->controls.reference_objects);
    source_ = open_split(*config_, data::Split::train, count);
  }
  return *source_;
}

geometry::OccupancyBits TrainingReferences::nearest_shape(const std::string& prompt) {
  if (!captions_) {
    std::vector<std::string> texts;
    const std::int64_t count = std::min(source().size(), config_->controls.nearest_objects);
    for (std::int64_t i = 0; i < count; ++i) {
      for (const data::Caption& caption : source().describe(i).captions) {
        if (!caption.complete) continue;
        texts.push_back(caption.text);
        caption_objects_.push_back(i);
      }
    }
    captions_ = std::make_unique<CaptionIndex>(texts);
  }
  if (captions_->size() == 0) return {};
  const std::int64_t object = caption_objects_[captions_->nearest(prompt)];
  return geometry::OccupancyBits(*source().field(object), static_cast<int>(config_->iou_resolution));
}

const ShapeReader& TrainingReferences::reader(const EvaluationSet& set,
                                              const std::vector<std::size_t>& objects) {
  if (reader_) return *reader_;
  reader_ = std::make_unique<ShapeReader>();
  for (const std::size_t object : objects) {
    reader_->add(set.at(object).coarse, set.at(object).record.class_name);
  }
  if (config_->controls.reference_objects == 0) return *reader_;
  const auto count = static_cast<std::size_t>(std::min(source().size(), config_->controls.reference_objects));
  std::vector<geometry::OccupancyBits> shapes(count);
  parallel_for(static_cast<std::int64_t>(count), 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      throw_if_interrupted();
      shapes[static_cast<std::size_t>(i)] =
          geometry::OccupancyBits(*source_->field(i), ShapeReader::kResolution);
    }
  });
  for (std::size_t i = 0; i < count; ++i) {
    reader_->add(std::move(shapes[i]), source_->describe(static_cast<std::int64_t>(i)).class_name);
  }
  return *reader_;
}

}  // namespace omni::evaluation
