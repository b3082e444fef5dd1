#include "training_references.h"

#include <algorithm>

#include "omni/core/interrupt.h"
#include "omni/core/parallel.h"

namespace omni::evaluation {

TrainingReferences::World& TrainingReferences::world(double variation) {
  World& world = worlds_[variation];
  if (world.source) return world;
  SweepConfig like = *config_;
  like.source.variation = variation;
  world.source = open_split(like, data::Split::train, 0);
  return world;
}

const data::ObjectSource& TrainingReferences::source() { return *world(config_->source.variation).source; }

geometry::OccupancyBits TrainingReferences::nearest_shape(const std::string& prompt) {
  if (!captions_) {
    std::vector<std::string> texts;
    const std::int64_t count = std::min(source().size(), config_->controls.nearest_objects);
    for (std::int64_t i = 0; i < count; ++i) {
      for (const data::Caption& caption : source().describe(i).captions) {
        if (caption.kind != data::CaptionKind::complete) continue;
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
    const EvaluationObject& known = set.at(object);
    reader_->add(known.coarse, known.record.class_name);
    if (known.edit) reader_->add(known.edit->before_coarse, known.record.class_name);
  }
  if (config_->controls.reference_objects == 0) return *reader_;
  const std::int64_t count = std::min(source().size(), config_->controls.reference_objects);
  for (std::int64_t i = 0; i < count; ++i) {
    reader_->add(coarse_shapes()[static_cast<std::size_t>(i)], source().describe(i).class_name);
  }
  return *reader_;
}

const std::vector<geometry::OccupancyBits>& TrainingReferences::coarse_shapes() {
  if (!coarse_.empty()) return coarse_;
  const std::int64_t count = std::min(
      source().size(), std::max(config_->controls.nearest_objects, config_->controls.reference_objects));
  const data::ObjectSource& objects = source();
  coarse_.resize(static_cast<std::size_t>(count));
  parallel_for(count, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      throw_if_interrupted();
      coarse_[static_cast<std::size_t>(i)] =
          geometry::OccupancyBits(*objects.field(i), ShapeReader::kResolution);
    }
  });
  return coarse_;
}

const geometry::OccupancyBits& TrainingReferences::fine_shape(std::int64_t object) {
  const data::ObjectSource& objects = *worlds_.at(config_->source.variation).source;
  const auto make = [&] {
    return geometry::OccupancyBits(*objects.field(object), static_cast<int>(config_->iou_resolution));
  };
  {
    const std::lock_guard lock(fine_mutex_);
    if (const auto found = fine_.find(object); found != fine_.end()) return found->second;
  }
  geometry::OccupancyBits shape = make();
  const std::lock_guard lock(fine_mutex_);
  return fine_.try_emplace(object, std::move(shape)).first->second;
}

double TrainingReferences::best_iou(const EvaluationObject& object) {
  constexpr std::size_t kCompared = 5;  // of different shapes
  std::vector<std::pair<double, std::int64_t>> likeliest;
  for (std::size_t i = 0; i < coarse_.size(); ++i)
    likeliest.emplace_back(-intersection_over_union(coarse_[i], object.coarse), static_cast<std::int64_t>(i));
  std::sort(likeliest.begin(), likeliest.end());
  double best = 0;
  std::vector<std::int64_t> compared;
  for (const auto& [unused, candidate] : likeliest) {
    const auto coarse = [&](std::int64_t index) -> auto& { return coarse_[static_cast<std::size_t>(index)]; };
    const bool known = std::any_of(compared.begin(), compared.end(),
                                   [&](std::int64_t other) { return coarse(other) == coarse(candidate); });
    if (known) continue;
    best = std::max(best, intersection_over_union(fine_shape(candidate), object.truth));
    compared.push_back(candidate);
    if (compared.size() == kCompared) break;
  }
  return best;
}

std::optional<geometry::OccupancyBits> TrainingReferences::shape_of(const std::string& id, double variation) {
  World& named = world(variation);
  auto found = named.places.find(id);
  // What was trained on lies at the source's start: it is read no further than needed.
  for (; found == named.places.end() && named.count < named.source->size(); ++named.count) {
    const std::string name = named.source->describe(named.count).id;
    const auto added = named.places.emplace(name, named.count).first;
    if (name == id) found = added;
  }
  if (found == named.places.end()) return std::nullopt;
  return geometry::OccupancyBits(*named.source->field(found->second),
                                 static_cast<int>(config_->iou_resolution));
}

}  // namespace omni::evaluation
