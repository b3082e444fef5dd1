#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "omni/core/config.h"
#include "omni/data/object_source.h"
#include "omni/optimizer/adamw.h"
#include "omni/optimizer/schedule.h"
#include "omni/tokenizers/shape_grid.h"
#include "omni/tokenizers/shape_vecset.h"
#include "omni/training/rank_settings.h"
#include "omni/training/run_options.h"
#include "omni/training/tokenizer_summary.h"

namespace omni::training {

// Training of a shape tokenizer, either layout. Each step sees `batch` objects, on all ranks together: their
// grid or surface points go in, the field is compared with the closed form at points near the surface and in
// the whole frame.
struct ShapeTokenizerTrainingConfig {
  std::string layout = "grid";  // grid, vecset
  tokenizers::GridShapeConfig grid;
  tokenizers::VecsetShapeConfig vecset;

  std::string start;             // folder of a tokenizer to go on from; its sizes count, but for the colour's
  bool freeze_geometry = false;  // train colour alone; the geometry codes stay as they are

  std::int64_t seed = 1;
  // Training objects that are prepared in the background; of a smaller set each is prepared several times,
  // with other points and stretches.
  std::int64_t objects = 12000;
  std::int64_t batch = 32;
  std::int64_t steps = 4000;
  double minutes = 0;  // above 0: the run ends after that long if not by its steps; schedules follow both
  double continuous_share = 0.15;    // of the run before codes are quantised
  double bypass_share = 0.1;         // of the samples that skip quantisation afterwards
  double full_length_share = 0.7;    // adaptive length: share of the samples that use all codes
  double code_noise = 0.02;          // share of codes replaced by another object's code at the same place
  std::int64_t near_points = 1024;   // field samples near the surface, per object
  std::int64_t volume_points = 512;  // and in the whole frame
  // What the field is compared by: occupancy (cross-entropy), or distance (tanh of the field against the
  // signed distance, in units of `truncation` and cut off there).
  std::string field_loss = "occupancy";
  double truncation = 0.1;
  // Standard deviation of the near samples from the surface along each axis, in units of the normalised
  // frame.
  double near_deviation = 0.04;
  std::int64_t colour_points = 256;  // surface colours compared, per object
  // Half of the objects shrink by up to this share along each axis, for unseen proportions.
  double stretch = 0;
  // Objects are turned about the vertical axis by quarters and mirrored at random, for small sets.
  bool turns = false;
  double grid_loss_weight = 1;  // grid: of the occupancy loss on all cells; 0 suits field_loss: distance
  optimizer::AdamWConfig adamw;
  optimizer::ScheduleConfig schedule;
  double clip_norm = 1.0;
  std::string precision = "fp32";  // fp32, bf16
  double checkpoint_minutes = 10;
  std::int64_t log_steps = 20;
  std::int64_t evaluation_objects = 128;  // held out; a few of them are also measured during the run
  RankSettings ranks;
};
void describe(ConfigVisitor& visitor, ShapeTokenizerTrainingConfig& config);
void validate(const ShapeTokenizerTrainingConfig& config);  // throws Error(usage)

// What a tokenizer reaches on objects that it was not trained on.
struct ShapeTokenizerReport {
  std::int64_t objects = 0;
  double iou = 0, iou_worst_tenth = 0;  // volume IoU on a 64^3 grid: mean, and mean of the worst tenth
  // Number of codes -> mean IoU, for the shorter prefixes that are offered, ascending.
  std::vector<std::pair<std::int64_t, double>> iou_by_length;
  std::int64_t parts = 0;
  double parts_coloured_right = 0;  // share of parts whose majority palette colour is right; 0 without colour
  double colour_error = 0;          // geometry::mean_colour_error at the surface; 0 without colour
  double code_perplexity = 0;       // 2^entropy of the codes over all places
  double codes_used = 0;            // share of the vocabulary
  // Shares of codes that change when the shape moves by a hundredth of a unit and when 2 % of the surface
  // cells flip.
  double changed_by_shift = 0, changed_by_noise = 0;
  double encode_ms = 0, decode_ms = 0;  // per object, without preparing the sample
};
ShapeTokenizerReport evaluate_shape_tokenizer(const tokenizers::ShapeTokenizer& tokenizer,
                                              const data::ObjectSource& held_out, std::int64_t objects,
                                              std::uint64_t seed);
std::string to_text(const ShapeTokenizerReport& report);

struct ShapeTokenizerTrainingSummary : TokenizerTrainingSummary {
  // Of the saved tokenizer, read back; absent without held-out objects or where the run was finished already.
  std::optional<ShapeTokenizerReport> report;
};

// Trains and writes the tokenizer's folder `output` (whole or not at all) with metrics.jsonl in it. While it
// runs, the metrics lie beside it in <output>.metrics.jsonl. A step's samples are a function of (seed, step).
// Throws Error(interrupted) after Ctrl-C; the metrics and <output>.checkpoint.safetensors are left then, from
// which a resumed run goes on. The checkpoint stays at the end, so that the run can go on with more steps.
// Throws Error(usage) as goes_on() does, where another process trains into `output`, and where a resumed run
// is another one by its config or objects.
//
// Where a launcher has started several ranks, all call it with the same arguments. Each takes its part of
// every batch; gradients, the codes' moving averages and the revivals of unused codes are those of the whole
// batch, equal on all ranks, and the run is that of one rank up to the order of its sums. The first rank
// alone writes, measures and has a report. A checkpoint may be resumed on another number of ranks.
ShapeTokenizerTrainingSummary train_shape_tokenizer(const ShapeTokenizerTrainingConfig& config,
                                                    const data::ObjectSource& train,
                                                    const data::ObjectSource& held_out,
                                                    const std::filesystem::path& output,
                                                    const RunOptions& options = {});

}  // namespace omni::training
