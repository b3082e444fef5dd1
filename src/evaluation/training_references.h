#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "evaluation_set.h"
#include "omni/evaluation/caption_retrieval.h"
#include "omni/evaluation/shape_reader.h"

namespace omni::evaluation {

// What controls borrow from the training split: shapes under their captions, and shapes by class.
class TrainingReferences {
 public:
  explicit TrainingReferences(const SweepConfig& config) : config_(&config) {}

  // The true shape of the training object whose complete caption is nearest to the prompt.
  geometry::OccupancyBits nearest_shape(const std::string& prompt);
  // The true shape of a training object of that name, from a source like the sweep's but of this variation;
  // nothing where the source has none.
  std::optional<geometry::OccupancyBits> shape_of(const std::string& id, double variation);
  // The highest volume IoU of an object's true shape with a training object's: what retrieval could reach at
  // best. Of `nearest_objects` training objects, the likeliest by their coarse shapes are compared.
  // Thread-safe after prepare_shapes().
  double best_iou(const EvaluationObject& object);
  void prepare_shapes() { (void)coarse_shapes(); }
  // Knows training shapes and, in addition, the given held-out ones, of edits also those before.
  const ShapeReader& reader(const EvaluationSet& set, const std::vector<std::size_t>& objects);

 private:
  // Like the sweep's, but of another variation.
  struct World {
    std::unique_ptr<data::ObjectSource> source;            // the training split
    std::unordered_map<std::string, std::int64_t> places;  // by name, of the first `count` objects
    std::int64_t count = 0;
  };
  World& world(double variation);
  const data::ObjectSource& source();
  const std::vector<geometry::OccupancyBits>& coarse_shapes();
  const geometry::OccupancyBits& fine_shape(std::int64_t object);  // at the sweep's resolution; thread-safe

  const SweepConfig* config_;
  std::unique_ptr<CaptionIndex> captions_;
  std::vector<std::int64_t> caption_objects_;
  std::unique_ptr<ShapeReader> reader_;
  std::vector<geometry::OccupancyBits> coarse_;  // of the first training objects
  std::mutex fine_mutex_;
  std::map<std::int64_t, geometry::OccupancyBits> fine_;
  std::map<double, World> worlds_;  // by variation
};

}  // namespace omni::evaluation
