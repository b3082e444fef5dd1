#include "stage_start.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "omni/core/error.h"
#include "omni/core/log.h"
#include "omni/core/name_pattern.h"
#include "omni/geometry/camera.h"
#include "omni/training/stage.h"

namespace omni::training {

namespace {

constexpr std::int64_t kDefaultTextCapacity = 48;

// Sampling finds the stage's own tasks in the bundle.
void keep_tasks(const StageConfig& config, model::Bundle& bundle) {
  for (const sequence::Task& task : config.custom_tasks) {
    std::erase_if(bundle.tasks, [&](const sequence::Task& earlier) { return earlier.name == task.name; });
    bundle.tasks.push_back(sequence::resolve_task(task));
  }
}

model::BundleTextTower open_tower(const StageConfig& config, bool shapes_alone) {
  return shapes_alone ? model::BundleTextTower::sizes(config.text_tower)
                      : model::BundleTextTower::load(config.text_tower);
}

void note_tower(const StageConfig& config, model::Bundle& bundle) {
  if (bundle.text_tower) bundle.notes["text tower"] = config.text_tower;
}

void require_whole_texts(const model::BundleTextTower& tower, std::int64_t text_capacity) {
  if (text_capacity <= tower.longest_text()) return;
  fail(ErrorKind::usage, "'text_tower' reads texts of ", tower.longest_text(),
       " tokens at most, and 'text_capacity' is ", text_capacity,
       ". Set text_capacity: ", tower.longest_text(), " or less");
}

model::Bundle fresh_bundle(const StageConfig& config, bool views, nn::ParameterStart start) {
  const std::int64_t text_capacity = config.text_capacity > 0 ? config.text_capacity : kDefaultTextCapacity;
  model::TransformerConfig model = config.model;
  tokenizers::TokenizerPaths tokenizers = config.tokenizers;
  std::optional<model::BundleTextTower> tower;
  if (!config.text_tower.empty()) {
    tower = open_tower(config, start.kind == nn::ParameterStart::Kind::shapes);
    require_whole_texts(*tower, text_capacity);
    model.features = {model::text_input_of_width(tower->width())};
    tokenizers.text = tower->tokenizer_file().string();
  }
  model::Bundle bundle = model::make_bundle(model, tokenizers::TokenizerSet::load(tokenizers), text_capacity,
                                            views, std::move(start));
  bundle.text_tower = std::move(tower);
  note_tower(config, bundle);
  return bundle;
}

// A bundle that `omni init` made with an input of features, and which is to be shown some.
void give_tower(const StageConfig& config, model::Bundle& bundle, bool shapes_alone) {
  model::BundleTextTower tower = open_tower(config, shapes_alone);
  const auto refuse = [&](const auto&... what) {
    fail(ErrorKind::usage, "starting from ", config.start_bundle, ": ", what..., " 'text_tower' ('",
         config.text_tower, "'). Leave the key out, and texts are shown as they were");
  };
  const auto made_by = bundle.notes.find("stage");
  if (made_by == bundle.notes.end() || made_by->second != "init")
    refuse("it was trained on texts as it is shown them, which is not by");
  if (!model::has_text_input(bundle.transformer->config(), tower.width()))
    refuse("it has no input of the ", tower.width(), " features of");
  const auto own = tokenizers::TextTokenizer::load(tower.tokenizer_file());
  if (bundle.tokenizers.text() == nullptr || own.fingerprint() != bundle.tokenizers.text()->fingerprint())
    refuse("its texts are tokens of another tokenizer than that of");
  require_whole_texts(tower, bundle.layout().text_capacity);
  bundle.text_tower = std::move(tower);
  note_tower(config, bundle);
}

// From what a stage may start, by its place among stages(): the stage before, and itself. Before the first
// there is `omni init`. Views that were never trained, or a mixture that forgets what came later, cost a run
// that fails nowhere.
void refuse_another_stages(const StageConfig& config, const model::Bundle& bundle) {
  const auto made_by = bundle.notes.find("stage");
  if (made_by == bundle.notes.end() || made_by->second == config.stage) return;
  const std::span<const Stage> all = stages();
  const auto own =
      std::find_if(all.begin(), all.end(), [&](const Stage& stage) { return stage.name == config.stage; });
  const std::string before(own == all.begin() ? "init" : (own - 1)->name);
  if (made_by->second != before)
    fail(ErrorKind::usage, "starting from ", config.start_bundle, ": it was made by 'omni ", made_by->second,
         "', and 'omni ", config.stage, "' starts from a bundle of 'omni ", before, "'. Name that one");
}

model::Bundle earlier_bundle(const StageConfig& config, bool views, bool shapes_alone) {
  model::Bundle bundle =
      shapes_alone ? model::load_bundle_shapes(config.start_bundle) : model::load_bundle(config.start_bundle);
  refuse_another_stages(config, bundle);
  const std::int64_t text_capacity = bundle.layout().text_capacity;
  if (config.text_capacity > 0 && config.text_capacity != text_capacity) {
    fail(ErrorKind::usage, "starting from ", config.start_bundle, ": it was made for texts of ",
         text_capacity, " tokens, and text_capacity is ", config.text_capacity,
         ". Leave the key out, or pre-train anew");
  }
  if (!config.text_tower.empty()) give_tower(config, bundle, shapes_alone);
  if (views && !bundle.vocabulary().has(sequence::kRangeAzimuth)) {
    sequence::Vocabulary larger = bundle.vocabulary();
    sequence::append_views(larger, {geometry::kAzimuthBins, geometry::kElevationBins});
    if (!shapes_alone)
      log_info("the vocabulary grows by ", larger.size() - bundle.vocabulary().size(), " view tokens");
    bundle.transformer = model::grow_vocabulary(
        *bundle.transformer, larger, static_cast<std::uint64_t>(config.seed), config.view_row_noise);
  }
  return bundle;
}

model::Bundle bundle_of(const StageConfig& config, nn::ParameterStart start) {
  const Stage& stage = find_stage(config.stage);
  const bool shapes_alone = start.kind == nn::ParameterStart::Kind::shapes;
  model::Bundle bundle = config.start_bundle.empty() ? fresh_bundle(config, stage.views, std::move(start))
                                                     : earlier_bundle(config, stage.views, shapes_alone);
  bundle.notes["stage"] = config.stage;
  if (config.lora.rank > 0) {
    bundle.transformer->add_adapters(
        config.lora, shapes_alone ? nn::ParameterStart::shapes()
                                  : nn::ParameterStart(static_cast<std::uint64_t>(config.seed)));
    bundle.notes["lora"] = nn::to_text(config.lora);
  }
  keep_tasks(config, bundle);
  return bundle;
}

}  // namespace

model::Bundle start_bundle(const StageConfig& config) {
  return bundle_of(config, static_cast<std::uint64_t>(config.seed));
}

model::Bundle estimated_bundle(const StageConfig& config) {
  return bundle_of(config, nn::ParameterStart::shapes());
}

void freeze_parameters(const StageConfig& config, nn::ParameterStore& parameters) {
  std::vector<std::string> names;
  for (const nn::Parameter& parameter : parameters.all())
    if (parameter.trainable) names.push_back(parameter.name);
  const std::vector<bool> chosen = chosen_by_patterns(config.freeze, names, "freeze");
  std::set<std::string_view> frozen;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (chosen[i]) frozen.insert(names[i]);
  if (frozen.size() == names.size())
    fail(ErrorKind::usage, "'freeze' leaves nothing to train: its patterns match all ", names.size(),
         " parameters");
  parameters.freeze([&](const nn::Parameter& parameter) { return frozen.contains(parameter.name); });
}

void require_recomputed_blocks(const StageConfig& config, const nn::ParameterStore& parameters) {
  const auto blocks = std::count_if(
      parameters.units().begin(), parameters.units().end(),
      [](const nn::ParameterUnit& unit) { return unit.kind == nn::ParameterUnit::Kind::block; });
  if (config.recompute && config.recompute_every > 1 && config.recompute_every > blocks)
    fail(ErrorKind::usage, "'recompute_every' (", config.recompute_every, ") is more than the model's ",
         blocks, " blocks, of which none would be made again. Lower it, or leave out 'recompute'");
}

std::map<std::string, optimizer::AdamW::Rows> view_rows(const model::Transformer& transformer) {
  const sequence::TokenRange& azimuth = transformer.vocabulary().range(sequence::kRangeAzimuth);
  const sequence::TokenRange& elevation = transformer.vocabulary().range(sequence::kRangeElevation);
  ensure(elevation.first == azimuth.first + azimuth.size, "the view ranges are not neighbours");
  std::map<std::string, optimizer::AdamW::Rows> rows;
  for (const std::string& name : transformer.token_row_parameters())
    rows[name] = {azimuth.first, azimuth.size + elevation.size};
  return rows;
}

}  // namespace omni::training
