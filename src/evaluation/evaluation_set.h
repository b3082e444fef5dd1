#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "edit_scores.h"
#include "omni/data/object_source.h"
#include "omni/data/procedural_world.h"
#include "omni/evaluation/colour_score.h"
#include "omni/evaluation/sweep_config.h"
#include "omni/geometry/occupancy_bits.h"

namespace omni::evaluation {

// The held-out objects of a sweep, with everything that scoring needs to know of them.

struct EvaluationObject {
  data::ObjectRecord record;  // without field for a bare prompt
  std::string name;           // in results: the record's id; of an edit both objects'
  std::string split, prompt;
  geometry::OccupancyBits truth;   // at the sweep's resolution
  geometry::OccupancyBits coarse;  // at ShapeReader::kResolution
  geometry::Mesh surface;          // the visible surface of the closed form
  PartSurface parts;
  std::unique_ptr<const EditTruth> edit;  // null unless the object is the result of one

  bool has_truth() const { return record.field != nullptr; }
};

// The objects of one split, in an order that a larger sweep only extends.
std::unique_ptr<data::ObjectSource> open_split(const SweepConfig& config, data::Split split,
                                               std::int64_t count);

// What is asked for: the complete captions take turns by `turn`, or those of another kind where the object
// has such. Of an edit its instructions: those that training never shows where reworded ones are wanted.
std::string choose_prompt(const EvaluationObject& object, data::CaptionKind kind, std::size_t turn);

class EvaluationSet {
 public:
  // Opens the sources; loads no object yet. Throws as they do.
  explicit EvaluationSet(const SweepConfig& config);

  // Of everything that the objects depend on.
  std::uint64_t fingerprint() const { return fingerprint_; }
  // Numbers of a task's objects: the first of each split, or, where the task edits, what edits make of them.
  std::vector<std::size_t> objects_of(const SweepTask& task) const;
  // Without the results of edits, and with them.
  std::vector<std::size_t> plain_objects() const;
  std::vector<std::size_t> all_objects() const;
  // A short name: "unseen_count/7".
  std::string name_of(std::size_t object) const;

  // Loads what is not there yet, on all cores.
  void prepare(std::span<const std::size_t> objects);
  const EvaluationObject& at(std::size_t object) const { return *objects_.at(object); }

 private:
  struct Place {
    std::size_t split, index;  // in the split's source
    bool edited;
  };
  std::unique_ptr<EvaluationObject> load(std::size_t object) const;
  void load_edit(const Place& place, EvaluationObject& loaded) const;
  Place place_of(std::size_t object) const;
  std::size_t plain_count() const;
  std::int64_t count_of(const SweepTask& task) const;
  bool is_edit(const SweepTask& task) const;
  void open_sources(std::int64_t plain, std::int64_t edits);

  const SweepConfig* config_;
  std::vector<sequence::Task> own_tasks_;                     // of the first bundle
  std::vector<std::string> prompts_;                          // of a prompts file
  std::vector<std::unique_ptr<data::ObjectSource>> sources_;  // by split
  std::vector<std::size_t> sizes_, edit_sizes_;               // objects used of each, as they are and edited
  // Split by split; after all of them, likewise, the results of edits.
  std::vector<std::unique_ptr<EvaluationObject>> objects_;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace omni::evaluation
