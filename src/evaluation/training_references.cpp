#include "training_references.h"

#include <algorithm>

#include "omni/core/interrupt.h"
#include "omni/core/parallel.h"
#include "omni/data/data_set.h"
#include "omni/data/procedural_world.h"

namespace omni::evaluation {
namespace {

// Captions and class of an object without its mesh where the source can do so.
struct Described {
  std::vector<data::Caption> captions;
  std::string class_name;
};

Described describe_object(const data::ObjectSource& source, std::int64_t index) {
  if (const auto* procedural = dynamic_cast<const data::ProceduralSource*>(&source)) {
    const std::int64_t object = procedural->object_id(index);
    const data::ProceduralWorld& world = procedural->world();
    return {world.captions(object), world.class_info(world.class_of(object)).name};
  }
  const auto* folder = dynamic_cast<const data::FolderSource*>(&source);
  data::ObjectRecord record = folder != nullptr ? folder->describe(index) : source.load(index);
  return {std::move(record.captions), std::move(record.class_name)};
}

std::unique_ptr<const geometry::SolidField> field_of(const data::ObjectSource& source, std::int64_t index) {
  if (const auto* procedural = dynamic_cast<const data::ProceduralSource*>(&source)) {
    return procedural->world().field(procedural->object_id(index));
  }
  return std::move(source.load(index).field);
}

}  // namespace

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
      for (const data::Caption& caption : describe_object(source(), i).captions) {
        if (!caption.complete) continue;
        texts.push_back(caption.text);
        caption_objects_.push_back(i);
      }
    }
    captions_ = std::make_unique<CaptionIndex>(texts);
  }
  if (captions_->size() == 0) return {};
  const std::int64_t object = caption_objects_[captions_->nearest(prompt)];
  return geometry::OccupancyBits(*field_of(source(), object), static_cast<int>(config_->iou_resolution));
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
          geometry::OccupancyBits(*field_of(*source_, i), ShapeReader::kResolution);
    }
  });
  for (std::size_t i = 0; i < count; ++i) {
    reader_->add(std::move(shapes[i]), describe_object(*source_, static_cast<std::int64_t>(i)).class_name);
  }
  return *reader_;
}

}  // namespace omni::evaluation
