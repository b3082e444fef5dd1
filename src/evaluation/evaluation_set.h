#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "omni/data/object_source.h"
#include "omni/evaluation/colour_score.h"
#include "omni/evaluation/sweep_config.h"
#include "omni/geometry/occupancy_bits.h"

namespace omni::evaluation {

// The held-out objects of a sweep, with everything that scoring needs to know of them.

struct EvaluationObject {
  data::ObjectRecord record;  // without field for a bare prompt
  std::string split, prompt;
  geometry::OccupancyBits truth;   // at the sweep's resolution
  geometry::OccupancyBits coarse;  // at ShapeReader::kResolution
  geometry::Mesh surface;          // the visible surface of the closed form
  PartSurface parts;

  bool has_truth() const { return record.field != nullptr; }
};

// The objects of one split, in an order that a larger sweep only extends.
std::unique_ptr<data::ObjectSource> open_split(const SweepConfig& config, data::Split split,
                                               std::int64_t count);

// What is asked for: the complete captions take turns by `turn`, or those of another kind where the object
// has such.
std::string choose_prompt(const EvaluationObject& object, data::CaptionKind kind, std::size_t turn);

class EvaluationSet {
 public:
  // Opens the sources; loads no object yet. Throws as they do.
  explicit EvaluationSet(const SweepConfig& config);

  // Of everything that the objects depend on.
  std::uint64_t fingerprint() const { return fingerprint_; }
  // Numbers of a task's objects: the first of each split.
  std::vector<std::size_t> objects_of(const SweepTask& task) const;
  std::vector<std::size_t> all_objects() const;
  // A short name: "unseen_count/7".
  std::string name_of(std::size_t object) const;

  // Loads what is not there yet, on all cores.
  void prepare(std::span<const std::size_t> objects);
  const EvaluationObject& at(std::size_t object) const { return *objects_.at(object); }

 private:
  std::unique_ptr<EvaluationObject> load(std::size_t object) const;
  std::pair<std::size_t, std::size_t> place_of(std::size_t object) const;
  std::int64_t count_of(const SweepTask& task) const;

  const SweepConfig* config_;
  std::vector<std::string> prompts_;                          // of a prompts file
  std::vector<std::unique_ptr<data::ObjectSource>> sources_;  // by split
  std::vector<std::size_t> sizes_;                            // objects used of each
  std::int64_t per_split_ = 0;
  std::vector<std::unique_ptr<EvaluationObject>> objects_;  // split by split
  std::uint64_t fingerprint_ = 0;
};

}  // namespace omni::evaluation
