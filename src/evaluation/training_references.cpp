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
  const std::int64_t count = std::min(source().size(), config_->controls.reference_objects);
  for (std::int64_t i = 0; i < count; ++i) {
    reader_->add(coarse_shapes()[static_cast<std::size_t>(i)], source_->describe(i).class_name);
  }
  return *reader_;
}

const std::vector<geometry::OccupancyBits>& TrainingReferences::coarse_shapes() {
  if (!coarse_.empty()) return coarse_;
  coarse_.resize(static_cast<std::size_t>(source().size()));
  parallel_for(source().size(), 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      throw_if_interrupted();
      coarse_[static_cast<std::size_t>(i)] =
          geometry::OccupancyBits(*source_->field(i), ShapeReader::kResolution);
    }
  });
  return coarse_;
}

double TrainingReferences::best_iou(const EvaluationObject& object) {
  constexpr std::size_t kCompared = 3;
  std::vector<std::pair<double, std::int64_t>> likeliest;
  for (std::size_t i = 0; i < coarse_shapes().size(); ++i)
    likeliest.emplace_back(-intersection_over_union(coarse_[i], object.coarse), static_cast<std::int64_t>(i));
  const std::size_t count = std::min(kCompared, likeliest.size());
  std::partial_sort(likeliest.begin(), likeliest.begin() + static_cast<std::ptrdiff_t>(count),
                    likeliest.end());
  double best = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const geometry::OccupancyBits shape(*source().field(likeliest[i].second),
                                        static_cast<int>(config_->iou_resolution));
    best = std::max(best, intersection_over_union(shape, object.truth));
  }
  return best;
}

}  // namespace omni::evaluation
