#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/data/object_source.h"
#include "omni/data/open_source.h"
#include "omni/sequence/task.h"

namespace omni::evaluation {

struct SweepBundle {
  std::string name;  // in tables; the path if empty
  std::string path;
};

struct SweepTask {
  std::string name;                    // a built-in task, or one that every bundle was trained on
  std::int64_t prompts_per_split = 0;  // 0: the sweep's
  // Of the objects' captions, which are the prompts. An object without such is asked for by a complete one.
  // Editing tasks take instructions: with `reworded` those that training never shows.
  data::CaptionKind prompts = data::CaptionKind::complete;

  // In results and tables: "text->shape", "text->shape, brief prompts".
  std::string title() const;
};

struct SweepSetting {
  std::string name = "default";
  double temperature = 1;
  std::int64_t top_k = 0;
  double top_p = 1, min_p = 0;
  std::string guidance;     // "text=3"; weights of modalities that a task does not condition on are left out
  std::int64_t detail = 0;  // geometry codes; 0: all
  std::string precision = "fp32";  // of weights and key-value cache: fp32, bf16, int8
};

struct SweepControls {
  bool shuffled = true;  // samples against the true shapes of other prompts
  bool nearest = true;   // the shape of the training object with the nearest caption, picture, shape
  bool ceiling = true;   // the tokenizer's reconstruction of the true shape, and of true renders
  bool reader = true;    // the class reader on true shapes
  std::int64_t nearest_objects = 2000;    // training objects whose captions are searched
  std::int64_t reference_objects = 1000;  // training objects that the class reader knows
  // Folders of the token shards that the models were trained on: for the share of recited shapes and the
  // nearest training picture. Without them these are left out.
  std::vector<std::string> training_shards;
};

// Everything that `omni eval` does: bundles x tasks x settings x seeds over held-out objects.
struct SweepConfig {
  std::string title = "Evaluation";
  std::string output = "out/eval";  // folder for results, figures and the page
  std::vector<SweepBundle> bundles;
  data::SourceSpec source;  // where objects come from; which ones, `splits` and `prompts_per_split` say
  std::vector<std::string> splits = {"new_instance", "unseen_colour", "unseen_attribute", "unseen_count"};
  std::int64_t prompts_per_split = 32;
  // A file of texts without true shapes, one a line; then no objects are used and no sample is compared.
  std::string prompts_file;
  std::vector<SweepTask> tasks;
  std::vector<SweepSetting> settings = {{}};
  std::vector<std::int64_t> seeds = {1};
  SweepControls controls;
  std::int64_t mesh_resolution = 64, iou_resolution = 64, surface_points = 8192;
  std::int64_t bootstrap_samples = 1000;
  std::int64_t chunk = 64;    // samples per unit of work
  std::int64_t gallery = 16;  // samples per task that the page shows
  std::int64_t picture_pixels = 128;
  bool save_meshes = false;          // the gallery's meshes as GLB
  bool keep_figures = false;         // in the bundles, for `omni info bundle`
  std::vector<std::string> metrics;  // metrics.jsonl files of training runs, for the loss curves
};
void describe(ConfigVisitor& visitor, SweepConfig& config);

// Reads and checks a sweep: throws Error(usage) with file, line and key; also for unknown splits and
// guidance.
SweepConfig load_sweep_config(const std::filesystem::path& path, const std::vector<std::string>& overrides);
void validate(const SweepConfig& config);
// The task of that name among a bundle's own and the built-in ones. Throws Error(usage) for an unknown one
// and for one that edits pictures.
sequence::Task measured_task(const SweepTask& wanted, const std::vector<sequence::Task>& own);

}  // namespace omni::evaluation
