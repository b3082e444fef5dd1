#include "omni/evaluation/sweep.h"

#include <algorithm>
#include <chrono>

#include "evaluation_set.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/log.h"
#include "omni/core/progress.h"
#include "omni/core/text_format.h"
#include "omni/evaluation/bundle_figures.h"
#include "omni/evaluation/report.h"
#include "omni/model/bundle_content.h"
#include "unit_runner.h"

namespace omni::evaluation {
namespace {

namespace fs = std::filesystem;

// Changes whenever the same model and prompts would be measured differently.
constexpr std::uint64_t kMeasureVersion = 3;

std::uint64_t folder_fingerprint(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    fail(ErrorKind::io, "opening ", folder, ": there is no such folder. Check the path.");
  }
  return model::bundle_content_hash(folder);
}

// What a unit does; `task` is null for controls.
struct PlannedUnit {
  std::string key;
  std::size_t bundle = 0;
  std::int64_t chunk = 0;
  SampleUnit samples;
};

void require_tasks(const SweepConfig& config, const SweepBundle& bundle) {
  const std::vector<sequence::Task> own = model::load_bundle_tasks(bundle.path);
  for (const SweepTask& task : config.tasks) (void)measured_task(task, own);
}

class SweepPlanner {
 public:
  SweepPlanner(const SweepConfig& config, const EvaluationSet& set) : config_(config), set_(set) {
    for (const SweepBundle& bundle : config.bundles) {
      require_tasks(config, bundle);
      bundle_fingerprints_.push_back(folder_fingerprint(bundle.path));
    }
    for (const std::string& folder : config.controls.training_shards)
      training_key_ += hexadecimal(folder_fingerprint(folder));
  }

  std::vector<PlannedUnit> plan() const {
    std::vector<PlannedUnit> units;
    for (std::size_t bundle = 0; bundle < config_.bundles.size(); ++bundle) {
      if (config_.prompts_file.empty()) plan_controls(bundle, units);
      for (const SweepTask& task : config_.tasks) {
        for (const SweepSetting& setting : config_.settings) {
          for (const std::int64_t seed : config_.seeds) plan_task(bundle, task, setting, seed, units);
        }
      }
    }
    return units;
  }

 private:
  void plan_controls(std::size_t bundle, std::vector<PlannedUnit>& units) const {
    const SweepControls& controls = config_.controls;
    if (!controls.nearest && !controls.ceiling && !controls.reader) return;
    const std::string recipe = concat(kControlsTask, controls.nearest, controls.ceiling, controls.reader, " ",
                                      controls.nearest_objects);
    add_chunks(bundle, set_.plain_objects(), {}, recipe, units);
  }

  void plan_task(std::size_t bundle, const SweepTask& task, const SweepSetting& setting, std::int64_t seed,
                 std::vector<PlannedUnit>& units) const {
    const std::vector<std::size_t> objects = set_.objects_of(task);
    SampleUnit unit{.task = &task,
                    .setting = &setting,
                    .seed = seed,
                    .objects = {},
                    .foreign = {},
                    .pictured = {},
                    .file_prefix = {}};
    const bool first = &setting == &config_.settings.front() && seed == config_.seeds.front();
    if (first && config_.gallery > 0) {
      const auto shown = std::min(static_cast<std::size_t>(config_.gallery), objects.size());
      for (std::size_t i = 0; i < shown; ++i) unit.pictured.insert(objects[i * objects.size() / shown]);
    }
    const std::string recipe =
        concat(task.title(), " ", setting.temperature, " ", setting.top_k, " ", setting.top_p, " ",
               setting.min_p, " ", setting.guidance, " ", setting.detail, " ", setting.precision, " ", seed,
               " ", config_.controls.shuffled, " ", training_key_, " ", unit.pictured.size(), " ",
               config_.save_meshes, " ", config_.picture_pixels);
    add_chunks(bundle, objects, unit, recipe, units);
  }

  void add_chunks(std::size_t bundle, const std::vector<std::size_t>& objects, const SampleUnit& like,
                  const std::string& recipe, std::vector<PlannedUnit>& units) const {
    const bool shuffled = like.task != nullptr && config_.controls.shuffled && objects.size() > 1 &&
                          config_.prompts_file.empty();
    const std::vector<std::size_t> foreign = shuffled ? derange(objects) : std::vector<std::size_t>();
    for (std::size_t begin = 0; begin < objects.size(); begin += static_cast<std::size_t>(config_.chunk)) {
      const std::size_t end = std::min(objects.size(), begin + static_cast<std::size_t>(config_.chunk));
      PlannedUnit unit{
          .key = {}, .bundle = bundle, .chunk = static_cast<std::int64_t>(begin), .samples = like};
      unit.samples.objects.assign(objects.begin() + static_cast<std::ptrdiff_t>(begin),
                                  objects.begin() + static_cast<std::ptrdiff_t>(end));
      if (shuffled) {
        unit.samples.foreign.assign(foreign.begin() + static_cast<std::ptrdiff_t>(begin),
                                    foreign.begin() + static_cast<std::ptrdiff_t>(end));
      }
      unit.key = hexadecimal(key_of(unit, recipe));
      unit.samples.file_prefix = unit.key.substr(0, 8);
      units.push_back(std::move(unit));
    }
  }

  std::uint64_t key_of(const PlannedUnit& unit, const std::string& recipe) const {
    std::uint64_t key = hash_combine(kMeasureVersion, bundle_fingerprints_[unit.bundle]);
    key = hash_combine(key, set_.fingerprint());
    key = hash_combine(key, hash_string(recipe));
    for (const std::size_t object : unit.samples.objects)
      key = hash_combine(key, hash_string(set_.name_of(object)));
    for (const std::size_t object : unit.samples.foreign)
      key = hash_combine(key, hash_string(set_.name_of(object)));
    const std::string measures = concat(config_.mesh_resolution, " ", config_.iou_resolution, " ",
                                        config_.surface_points, " ", config_.controls.reference_objects);
    return hash_combine(key, hash_string(measures));
  }

  const SweepConfig& config_;
  const EvaluationSet& set_;
  std::vector<std::uint64_t> bundle_fingerprints_;
  std::string training_key_;  // of the training shards
};

UnitResult run_unit(const SweepConfig& config, const PlannedUnit& planned, const model::Bundle& bundle,
                    UnitRunner& runner) {
  const auto start = std::chrono::steady_clock::now();
  UnitResult unit;
  unit.key = planned.key;
  unit.bundle = config.bundles[planned.bundle].name;
  unit.chunk = planned.chunk;
  if (planned.samples.task == nullptr) {
    unit.task = kControlsTask;
    unit.samples = runner.run_controls(bundle, planned.samples.objects);
  } else {
    unit.task = planned.samples.task->title();
    unit.setting = planned.samples.setting->name;
    unit.seed = planned.samples.seed;
    unit.samples = runner.run_samples(bundle, planned.samples);
  }
  unit.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return unit;
}

// Loads a bundle when its first unit comes, and keeps one at a time.
class BundleShelf {
 public:
  explicit BundleShelf(const SweepConfig& config) : config_(config) {}
  const model::Bundle& get(std::size_t index) {
    if (index != loaded_index_ || !loaded_) {
      loaded_.reset();
      loaded_ = std::make_unique<model::Bundle>(model::load_bundle(config_.bundles[index].path));
      loaded_index_ = index;
    }
    return *loaded_;
  }

 private:
  const SweepConfig& config_;
  std::unique_ptr<model::Bundle> loaded_;
  std::size_t loaded_index_ = 0;
};

void write_results(const SweepConfig& config, const fs::path& output, const std::vector<UnitResult>& units,
                   const SweepSummary& summary) {
  write_file_atomically(output / "results.csv", std::string_view(results_csv(units)));
  write_file_atomically(output / "summary.json", std::string_view(summary_json(config, summary)));
  write_file_atomically(output / "report.html",
                        std::string_view(report_html(config, units, summary, output)));
}

// A sweep's folder is known by its results.jsonl; what stands there without one under the names of its other files
// is somebody's own.
void require_own_results(const fs::path& output) {
  if (fs::exists(output / "results.jsonl")) return;
  for (const char* name : {"report.html", "summary.json", "results.csv"})
    if (fs::exists(output / name))
      fail(
          ErrorKind::usage, "evaluating into '", output.string(), "': it holds '", name,
          "' but no results.jsonl, so that no evaluation has left it, and it would be overwritten. Choose another "
          "folder, or move it away");
}

}  // namespace

void check_sweep(const SweepConfig& config) {
  validate(config);
  require_own_results(config.output);
  for (const SweepBundle& bundle : config.bundles) require_tasks(config, bundle);
  std::vector<std::string> paths = config.controls.training_shards;
  if (!config.prompts_file.empty())
    paths.push_back(config.prompts_file);
  else if (config.source.source != data::kProcedural)
    paths.push_back(config.source.source);
  for (const std::string& path : paths)
    if (!fs::exists(path)) fail(ErrorKind::io, "reading the sweep: there is no '", path, "'. Check the path");
}

SweepOutcome run_sweep(const SweepConfig& config) {
  const fs::path output = config.output;
  validate(config);
  require_own_results(output);
  prepare_output_directory(output);
  EvaluationSet set(config);
  const std::vector<PlannedUnit> plan = SweepPlanner(config, set).plan();
  ResultLog log(output / "results.jsonl");
  UnitRunner runner(config, set, SampleFiles(output, static_cast<int>(config.picture_pixels)));
  BundleShelf bundles(config);

  SweepOutcome outcome;
  for (const PlannedUnit& unit : plan) outcome.units_found += log.find(unit.key) != nullptr ? 1 : 0;
  if (outcome.units_found > 0) {
    log_info(outcome.units_found, " of ", plan.size(), " pieces are already in ",
             (output / "results.jsonl").string());
  }
  {
    Progress progress("evaluating", static_cast<std::int64_t>(plan.size()), "pieces");
    progress.advance(outcome.units_found);
    for (const PlannedUnit& unit : plan) {
      if (log.find(unit.key) != nullptr) continue;
      throw_if_interrupted();
      log.append(run_unit(config, unit, bundles.get(unit.bundle), runner));
      ++outcome.units_run;
      progress.advance();
    }
  }
  std::vector<UnitResult> units;
  for (const PlannedUnit& unit : plan) {
    units.push_back(*log.find(unit.key));
    units.back().bundle = config.bundles[unit.bundle].name;  // names may change between runs
    if (unit.samples.setting != nullptr) units.back().setting = unit.samples.setting->name;
  }
  outcome.summary = summarise(config, units);
  write_results(config, output, units, outcome.summary);
  for (const SweepBundle& bundle : config.bundles)
    if (config.keep_figures) write_bundle_figures(bundle.path, figures_of(outcome.summary, bundle.name));
  return outcome;
}

}  // namespace omni::evaluation
