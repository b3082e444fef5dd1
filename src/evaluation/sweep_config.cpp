#include "omni/evaluation/sweep_config.h"

#include <set>

#include "omni/core/error.h"
#include "omni/generation/request.h"
#include "omni/sequence/task.h"

namespace omni::evaluation {
namespace {

void describe_bundles(ConfigVisitor& visitor, std::vector<SweepBundle>& bundles) {
  visitor.list(
      "bundles", bundles.size(), [&](std::size_t size) { bundles.assign(size, {}); },
      [&](ConfigVisitor& item, std::size_t i) {
        item.text("name", bundles[i].name);
        item.text("path", bundles[i].path);
      });
}

void describe_tasks(ConfigVisitor& visitor, std::vector<SweepTask>& tasks) {
  visitor.list(
      "tasks", tasks.size(), [&](std::size_t size) { tasks.assign(size, {}); },
      [&](ConfigVisitor& item, std::size_t i) {
        item.text("name", tasks[i].name);
        item.integer("prompts_per_split", tasks[i].prompts_per_split, {.minimum = 0, .maximum = 1e6});
        item.added_later(tasks[i].prompts == data::CaptionKind::complete, [&](ConfigVisitor& later) {
          std::string kind(data::caption_kind_name(tasks[i].prompts));
          later.choice("prompts", kind, {"complete", "partial", "brief", "reworded"});
          tasks[i].prompts = data::parse_caption_kind(kind);
        });
      });
}

void describe_settings(ConfigVisitor& visitor, std::vector<SweepSetting>& settings) {
  visitor.list(
      "settings", settings.size(), [&](std::size_t size) { settings.assign(size, {}); },
      [&](ConfigVisitor& item, std::size_t i) {
        item.text("name", settings[i].name);
        item.number("temperature", settings[i].temperature, {.minimum = 0, .maximum = 100});
        item.integer("top_k", settings[i].top_k, {.minimum = 0, .maximum = 1e9});
        item.number("top_p", settings[i].top_p, {.minimum = 0, .maximum = 1});
        item.number("min_p", settings[i].min_p, {.minimum = 0, .maximum = 1});
        item.text("guidance", settings[i].guidance);
        item.integer("detail", settings[i].detail, {.minimum = 0, .maximum = 32768});
        item.choice("precision", settings[i].precision, {"fp32", "bf16", "int8"});
      });
}

void describe_controls(ConfigVisitor& visitor, SweepControls& controls) {
  visitor.flag("shuffled", controls.shuffled);
  visitor.flag("nearest", controls.nearest);
  visitor.flag("ceiling", controls.ceiling);
  visitor.flag("reader", controls.reader);
  visitor.integer("nearest_objects", controls.nearest_objects, {.minimum = 1, .maximum = 1e6});
  visitor.integer("reference_objects", controls.reference_objects, {.minimum = 0, .maximum = 1e6});
  visitor.texts("training_shards", controls.training_shards);
}

// The section's spelling in older files: read, never written.
void describe_older_source(ConfigVisitor& visitor, SweepConfig& config) {
  visitor.added_later(true, [&](ConfigVisitor& older) {
    older.section("source", [&](ConfigVisitor& section) {
      data::describe(section, config.source);
      std::string folder;
      section.text("folder", folder);
      if (!folder.empty()) config.source.source = folder;
      section.text("prompts_file", config.prompts_file);
    });
  });
}

std::string name_of(const SweepTask& task) { return task.title(); }
template <class Item>
std::string name_of(const Item& item) {
  return item.name;
}

template <class Items>
void check_unique_names(const Items& items, std::string_view what) {
  std::set<std::string> names;
  for (const auto& item : items) {
    if (names.insert(name_of(item)).second) continue;
    fail(ErrorKind::usage, "reading the sweep: two ", what, " are called \"", name_of(item),
         "\". Rename one.");
  }
}

}  // namespace

void describe(ConfigVisitor& visitor, SweepConfig& config) {
  visitor.text("title", config.title);
  visitor.text("output", config.output);
  describe_bundles(visitor, config.bundles);
  visitor.section("data", [&](ConfigVisitor& section) {
    data::describe(section, config.source);
    section.text("prompts_file", config.prompts_file);
  });
  describe_older_source(visitor, config);
  visitor.texts("splits", config.splits, data::split_names());
  visitor.integer("prompts_per_split", config.prompts_per_split, {.minimum = 1, .maximum = 1e6});
  describe_tasks(visitor, config.tasks);
  describe_settings(visitor, config.settings);
  visitor.integers("seeds", config.seeds, {.minimum = 0});
  visitor.section("controls", [&](ConfigVisitor& controls) { describe_controls(controls, config.controls); });
  visitor.integer("mesh_resolution", config.mesh_resolution, {.minimum = 8, .maximum = 512});
  visitor.integer("iou_resolution", config.iou_resolution, {.minimum = 8, .maximum = 256});
  visitor.integer("surface_points", config.surface_points, {.minimum = 16, .maximum = 1e6});
  visitor.integer("bootstrap_samples", config.bootstrap_samples, {.minimum = 0, .maximum = 1e6});
  visitor.integer("chunk", config.chunk, {.minimum = 1, .maximum = 1e4});
  visitor.integer("gallery", config.gallery, {.minimum = 0, .maximum = 1e4});
  visitor.integer("picture_pixels", config.picture_pixels, {.minimum = 16, .maximum = 1024});
  visitor.flag("save_meshes", config.save_meshes);
  visitor.flag("keep_figures", config.keep_figures);
  visitor.texts("metrics", config.metrics);
}

void validate(const SweepConfig& config) {
  if (config.output.empty()) fail(ErrorKind::usage, "reading the sweep: 'output' names no folder.");
  if (config.bundles.empty()) {
    fail(ErrorKind::usage, "reading the sweep: it names no bundle. Add one under \"bundles\".");
  }
  for (const SweepBundle& bundle : config.bundles) {
    if (bundle.path.empty()) fail(ErrorKind::usage, "reading the sweep: a bundle has no path.");
  }
  if (config.tasks.empty()) fail(ErrorKind::usage, "reading the sweep: it names no task.");
  if (config.settings.empty()) fail(ErrorKind::usage, "reading the sweep: it has no sampling settings.");
  if (config.seeds.empty()) fail(ErrorKind::usage, "reading the sweep: it has no seeds.");
  if (config.splits.empty()) fail(ErrorKind::usage, "reading the sweep: it names no split.");
  check_unique_names(config.tasks, "tasks");
  check_unique_names(config.settings, "settings");
  for (const SweepTask& task : config.tasks) {
    if (task.name.empty()) fail(ErrorKind::usage, "reading the sweep: a task has no name.");
  }
  for (const std::string& split : config.splits) (void)data::parse_split(split);
  for (const SweepSetting& setting : config.settings) {
    if (!setting.guidance.empty()) (void)generation::parse_guidance(setting.guidance);
  }
}

std::string SweepTask::title() const {
  if (prompts == data::CaptionKind::complete) return name;
  return concat(name, ", ", data::caption_kind_name(prompts), " prompts");
}

sequence::Task measured_task(const SweepTask& wanted, const std::vector<sequence::Task>& own) {
  sequence::Task task = sequence::find_task(wanted.name, own);
  if (sequence::is_editing_task(task) && !sequence::makes(task, sequence::Modality::shape)) {
    fail(ErrorKind::usage, "reading the sweep: the task ", wanted.name,
         " edits pictures, and only edits of shapes can be measured. Choose another task.");
  }
  return task;
}

SweepConfig load_sweep_config(const std::filesystem::path& path, const std::vector<std::string>& overrides) {
  SweepConfig config;
  ConfigFile::load(path, overrides).read([&](ConfigVisitor& visitor) { describe(visitor, config); });
  for (SweepBundle& bundle : config.bundles) {
    if (bundle.name.empty()) bundle.name = bundle.path;
  }
  validate(config);
  check_unique_names(config.bundles, "bundles");
  return config;
}

}  // namespace omni::evaluation
