#include "evaluation_set.h"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/interrupt.h"
#include "omni/core/parallel.h"
#include "omni/core/progress.h"
#include "omni/evaluation/shape_reader.h"
#include "omni/geometry/iso_surface.h"
#include "omni/model/bundle.h"

namespace omni::evaluation {
namespace {

constexpr int kSurfaceResolution = 128;  // of the surface of the closed form
constexpr std::size_t kColourPoints = 2048;

std::vector<std::string> read_prompts(const std::string& path) {
  std::vector<std::string> prompts;
  std::istringstream lines(read_file_text(path));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) prompts.push_back(line);
  }
  if (prompts.empty()) {
    fail(ErrorKind::input, "reading the prompts ", path, ": the file has no line of text.");
  }
  return prompts;
}

geometry::Mesh visible_surface(const geometry::SolidField& field) {
  const auto values = [&](std::span<const geometry::Vec3> points, std::span<float> out) {
    std::vector<std::uint8_t> inside(points.size());
    field.occupancy(points, inside);
    for (std::size_t i = 0; i < points.size(); ++i) out[i] = inside[i] != 0 ? 1.0f : -1.0f;
  };
  geometry::IsoSurfaceOptions options;
  options.resolution = kSurfaceResolution;
  return geometry::extract_iso_surface(values, options).mesh;
}

std::vector<std::string> captions_of(const data::ObjectRecord& record, data::CaptionKind kind) {
  std::vector<std::string> texts;
  for (const data::Caption& caption : record.captions)
    if (caption.kind == kind) texts.push_back(caption.text);
  return texts;
}

// Complete captions name every parameter; objects take turns between their wordings.
std::string complete_prompt(const data::ObjectRecord& record, std::size_t turn) {
  const std::vector<std::string> complete = captions_of(record, data::CaptionKind::complete);
  if (!complete.empty()) return complete[turn % complete.size()];
  return record.captions.empty() ? std::string() : record.captions[turn % record.captions.size()].text;
}

// As many of each size, one after the other: the first whose place is not in an earlier one.
std::pair<std::size_t, std::size_t> split_of(const std::vector<std::size_t>& sizes, std::size_t place) {
  std::size_t split = 0;
  while (place >= sizes.at(split)) place -= sizes[split++];
  return {split, place};
}

std::vector<std::size_t> numbers_below(std::size_t count) {
  std::vector<std::size_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), std::size_t{0});
  return numbers;
}

std::vector<std::size_t> first_of_each(const std::vector<std::size_t>& sizes, std::size_t count,
                                       std::size_t first) {
  std::vector<std::size_t> objects;
  for (const std::size_t size : sizes) {
    for (std::size_t i = 0; i < std::min(count, size); ++i) objects.push_back(first + i);
    first += size;
  }
  return objects;
}

void prepare_truth(EvaluationObject& object, const SweepConfig& config) {
  const geometry::SolidField& field = *object.record.field;
  object.truth = geometry::OccupancyBits(field, static_cast<int>(config.iou_resolution));
  object.coarse = geometry::OccupancyBits(field, ShapeReader::kResolution);
  object.surface = visible_surface(field);
  object.parts = make_part_surface(object.record.parts, object.surface, field, kColourPoints,
                                   CounterRng(hash_string(object.record.id)));
}

}  // namespace

std::unique_ptr<data::ObjectSource> open_split(const SweepConfig& config, data::Split split,
                                               std::int64_t count) {
  data::SourceSpec spec = config.source;
  spec.split = split;
  spec.count = count;
  return data::open_source(spec);
}

std::string choose_prompt(const EvaluationObject& object, data::CaptionKind kind, std::size_t turn) {
  if (object.edit) {
    const auto& [trained, held_out] = object.edit->instructions;
    const bool reworded = kind == data::CaptionKind::reworded && !held_out.empty();
    const std::vector<data::Instruction>& list = reworded ? held_out : trained;
    return list[turn % list.size()].text;
  }
  if (kind == data::CaptionKind::complete) return object.prompt;
  const std::vector<std::string> texts = captions_of(object.record, kind);
  return texts.empty() ? object.prompt : texts[turn % texts.size()];
}

EvaluationSet::EvaluationSet(const SweepConfig& config) : config_(&config) {
  if (!config.prompts_file.empty()) {
    prompts_ = read_prompts(config.prompts_file);
    objects_.resize(prompts_.size());
    for (const std::string& prompt : prompts_) {
      fingerprint_ = hash_combine(fingerprint_, hash_string(prompt));
    }
    return;
  }
  if (!config.bundles.empty()) own_tasks_ = model::load_bundle_tasks(config.bundles.front().path);
  std::int64_t plain = 0, edits = 0;
  for (const SweepTask& task : config.tasks) {
    std::int64_t& most = is_edit(task) ? edits : plain;
    most = std::max(most, count_of(task));
  }
  open_sources(plain, edits);
  if (objects_.empty()) {
    fail(ErrorKind::input, "opening the objects of the sweep: its splits hold none. Choose other splits.");
  }
}

void EvaluationSet::open_sources(std::int64_t plain, std::int64_t edits) {
  for (const std::string& split : config_->splits) {
    sources_.push_back(open_split(*config_, data::parse_split(split), std::max(plain, edits)));
    const data::ObjectSource& source = *sources_.back();
    const auto size_of = [&](std::int64_t count) {
      return static_cast<std::size_t>(std::min(count, source.size()));
    };
    sizes_.push_back(size_of(plain));
    edit_sizes_.push_back(size_of(edits));
    objects_.resize(objects_.size() + sizes_.back() + edit_sizes_.back());
    fingerprint_ = hash_combine(fingerprint_, source.fingerprint());
    const auto* procedural = dynamic_cast<const data::ProceduralSource*>(&source);
    if (edits > 0 && (procedural == nullptr || procedural->world().variation() > 0))
      fail(
          ErrorKind::usage, "opening the objects of the sweep: ", config_->source.source,
          " does not know what an edit makes of its objects. Take the procedural world, without variation, or "
          "leave the editing task out.");
  }
}

bool EvaluationSet::is_edit(const SweepTask& task) const {
  return sequence::is_editing_task(sequence::find_task(task.name, own_tasks_));
}

std::int64_t EvaluationSet::count_of(const SweepTask& task) const {
  return task.prompts_per_split > 0 ? task.prompts_per_split : config_->prompts_per_split;
}

std::vector<std::size_t> EvaluationSet::objects_of(const SweepTask& task) const {
  if (!prompts_.empty()) return all_objects();
  const auto count = static_cast<std::size_t>(count_of(task));
  return is_edit(task) ? first_of_each(edit_sizes_, count, plain_count()) : first_of_each(sizes_, count, 0);
}

std::size_t EvaluationSet::plain_count() const {
  return prompts_.empty() ? std::accumulate(sizes_.begin(), sizes_.end(), std::size_t{0}) : prompts_.size();
}

std::vector<std::size_t> EvaluationSet::plain_objects() const { return numbers_below(plain_count()); }
std::vector<std::size_t> EvaluationSet::all_objects() const { return numbers_below(objects_.size()); }

std::string EvaluationSet::name_of(std::size_t object) const {
  if (!prompts_.empty()) return concat("prompts/", object);
  const Place place = place_of(object);
  return concat(config_->splits[place.split], "/", place.edited ? "edit-" : "", place.index);
}

EvaluationSet::Place EvaluationSet::place_of(std::size_t object) const {
  const std::size_t plain = plain_count();
  const bool edited = object >= plain;
  const auto [split, index] = edited ? split_of(edit_sizes_, object - plain) : split_of(sizes_, object);
  return {split, index, edited};
}

// The object is what the edit makes of the source's.
void EvaluationSet::load_edit(const Place& place, EvaluationObject& loaded) const {
  const auto& source = dynamic_cast<const data::ProceduralSource&>(*sources_[place.split]);
  const data::ProceduralWorld& world = source.world();
  const data::ProceduralEdit edit =
      choose_edit(world, source.object_id(static_cast<std::int64_t>(place.index)));
  loaded.record = world.make(edit.after);
  prepare_truth(loaded, *config_);
  loaded.edit = make_edit_truth(world, edit, loaded.surface, static_cast<int>(config_->iou_resolution));
  loaded.name = concat(loaded.edit->before.id, " to ", loaded.record.id);
  loaded.prompt = loaded.edit->instructions.trained.front().text;
}

std::unique_ptr<EvaluationObject> EvaluationSet::load(std::size_t object) const {
  auto loaded = std::make_unique<EvaluationObject>();
  if (!prompts_.empty()) {
    loaded->name = loaded->record.id = concat("prompt-", object);
    loaded->split = "prompts";
    loaded->prompt = prompts_[object];
    return loaded;
  }
  const Place place = place_of(object);
  loaded->split = config_->splits[place.split];
  if (place.edited) {
    load_edit(place, *loaded);
    return loaded;
  }
  loaded->record = sources_[place.split]->load(static_cast<std::int64_t>(place.index));
  loaded->name = loaded->record.id;
  loaded->prompt = complete_prompt(loaded->record, place.index);
  prepare_truth(*loaded, *config_);
  return loaded;
}

void EvaluationSet::prepare(std::span<const std::size_t> objects) {
  std::vector<std::size_t> missing;
  for (const std::size_t object : objects) {
    if (!objects_.at(object)) missing.push_back(object);
  }
  if (missing.empty()) return;
  Progress progress("preparing", static_cast<std::int64_t>(missing.size()), "objects");
  parallel_for(static_cast<std::int64_t>(missing.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      throw_if_interrupted();
      const std::size_t object = missing[static_cast<std::size_t>(i)];
      objects_[object] = load(object);
      progress.advance();
    }
  });
}

}  // namespace omni::evaluation
