#include "unit_runner.h"

#include <algorithm>
#include <mutex>

#include "condition_views.h"
#include "omni/core/error.h"
#include "omni/core/parallel.h"
#include "omni/core/shuffle.h"
#include "omni/data/shape_sample.h"
#include "omni/generation/make_samples.h"
#include "sample_scores.h"

namespace omni::evaluation {
namespace {

using generation::GeneratedSample;
using generation::GenerationRequest;
using sequence::Modality;

std::size_t condition_count(const sequence::Task& task, Modality modality) {
  return static_cast<std::size_t>(std::count_if(
      task.segments.begin(), task.segments.end(),
      [&](const sequence::TaskSegment& segment) { return !segment.loss && segment.modality == modality; }));
}

// The guidance of a setting, without weights for modalities that are no condition of this task.
generation::GuidanceSettings guidance_for(const SweepSetting& setting, const sequence::Task& task) {
  if (setting.guidance.empty()) return {};
  generation::GuidanceSettings guidance = generation::parse_guidance(setting.guidance);
  std::erase_if(guidance.by_modality,
                [&](const auto& entry) { return condition_count(task, entry.first) == 0; });
  return guidance;
}

GenerationRequest base_request(const SampleUnit& unit, const sequence::Task& task) {
  GenerationRequest request;
  request.task = task;
  request.sampling = {.temperature = unit.setting->temperature,
                      .top_k = unit.setting->top_k,
                      .top_p = unit.setting->top_p,
                      .min_p = unit.setting->min_p};
  request.guidance = guidance_for(*unit.setting, request.task);
  request.geometry_codes = unit.setting->detail;
  return request;
}

bool makes_view(const sequence::Task& task) {
  return std::any_of(task.segments.begin(), task.segments.end(),
                     [](const sequence::TaskSegment& segment) { return segment.loss && segment.view; });
}

void need_truth(const EvaluationObject& object, const sequence::Task& task) {
  if (object.has_truth()) return;
  fail(ErrorKind::usage, "evaluating ", task.name,
       ": it starts from pictures or shapes, and a prompts file has none. Leave the task out.");
}

void add_images(GenerationRequest& request, const EvaluationObject& object, std::size_t number, int pixels) {
  const std::size_t count = condition_count(request.task, Modality::image);
  if (count == 0) return;
  need_truth(object, request.task);
  const std::vector<generation::View> views = choose_views(number, count);
  std::size_t next = 0;
  for (const sequence::TaskSegment& segment : request.task.segments) {
    if (segment.loss || segment.modality != Modality::image) continue;
    const generation::View view = views[next++];
    generation::ImageCondition condition{.image = render_view(object.record.mesh, view, pixels), .view = {}};
    if (segment.view) condition.view = view;
    request.images.push_back(std::move(condition));
  }
}

void add_shapes(GenerationRequest& request, const EvaluationObject& object, const model::Bundle& bundle) {
  if (condition_count(request.task, Modality::shape) == 0) return;
  need_truth(object, request.task);
  const data::ObjectRecord& given = object.edit ? object.edit->before : object.record;
  const generation::ShapeCondition condition{
      .shape = data::make_shape_sample(given, bundle.tokenizers.shape()->required_input(),
                                       CounterRng(hash_string(given.id), 2)),
      .longest_side_m = given.longest_side_m,
      .extent = given.mesh.bounds().extent()};
  request.shapes.assign(condition_count(request.task, Modality::shape), condition);
}

GenerationRequest request_for(const SampleUnit& unit, const sequence::Task& task,
                              const EvaluationObject& object, std::size_t number,
                              const model::Bundle& bundle) {
  GenerationRequest request = base_request(unit, task);
  request.seed = hash_combine(static_cast<std::uint64_t>(unit.seed), hash_string(object.name));
  request.prompts.assign(condition_count(request.task, Modality::text),
                         choose_prompt(object, unit.task->prompts, number));
  const int pixels =
      bundle.tokenizers.image() ? static_cast<int>(bundle.tokenizers.image()->config().image_size) : 64;
  add_images(request, object, number, pixels);
  add_shapes(request, object, bundle);
  if (makes_view(request.task) && bundle.vocabulary().has(sequence::kRangeAzimuth)) {
    request.view = choose_views(number + 3, 1).front();
  }
  return request;
}

SampleResult start_result(const EvaluationObject& object) {
  SampleResult result;
  result.object = object.name;
  result.split = object.split;
  result.class_name = object.record.class_name;
  result.prompt = object.prompt;
  return result;
}

}  // namespace

std::vector<std::size_t> derange(const std::vector<std::size_t>& objects) {
  std::vector<std::size_t> order(objects.size()), partner(objects.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  CounterRng rng(hash_string("derangement"), objects.size());
  shuffle(std::span(order), rng);
  for (std::size_t i = 0; i < order.size(); ++i) {
    partner[order[i]] = objects[order[(i + 1) % order.size()]];
  }
  return partner;
}

const ShapeReader* UnitRunner::reader() {
  if (!config_.prompts_file.empty()) return nullptr;
  const std::vector<std::size_t> all = set_.all_objects();
  set_.prepare(all);
  return &references_.reader(set_, all);
}

const TrainingTokens* UnitRunner::training_tokens(const model::Bundle& bundle) {
  const std::vector<std::string>& folders = config_.controls.training_shards;
  if (folders.empty()) return nullptr;
  if (!training_tokens_ || !(training_format_ == bundle.tokenizers.format())) {
    training_tokens_ = std::make_unique<TrainingTokens>(folders, bundle.tokenizers);
    training_format_ = bundle.tokenizers.format();
  }
  return training_tokens_.get();
}

// Nothing where an object is a bare prompt. With `before`, of the objects before their edits.
std::vector<tokenizers::ShapeCodes> UnitRunner::encode_true_shapes(const model::Bundle& bundle,
                                                                   const std::vector<std::size_t>& objects,
                                                                   bool before) const {
  for (const std::size_t object : objects)
    if (!set_.at(object).has_truth()) return {};
  std::vector<tokenizers::ShapeSample> samples(objects.size());
  parallel_for(static_cast<std::int64_t>(objects.size()), 1, [&](std::int64_t begin, std::int64_t) {
    const auto i = static_cast<std::size_t>(begin);
    const EvaluationObject& object = set_.at(objects[i]);
    const data::ObjectRecord& record = before ? object.edit->before : object.record;
    samples[i] = data::make_shape_sample(record, bundle.tokenizers.shape()->required_input(),
                                         CounterRng(hash_string(record.id), 2));
  });
  return bundle.tokenizers.shape()->encode(samples);
}

// What an edit would come to that copied its source, and the tokenizer's reconstruction of the true result.
void UnitRunner::add_edit_controls(const model::Bundle& bundle, const std::vector<std::size_t>& objects,
                                   const ShapeReader& reader, std::vector<SampleResult>& results) const {
  const auto score = [&](const char* prefix, bool before) {
    const auto fields = bundle.tokenizers.shape()->decode(encode_true_shapes(bundle, objects, before));
    parallel_for(static_cast<std::int64_t>(objects.size()), 1, [&](std::int64_t begin, std::int64_t) {
      const auto i = static_cast<std::size_t>(begin);
      const EvaluationObject& object = set_.at(objects[i]);
      for (const auto& [name, value] : score_shape(*fields[i], object, &reader, nullptr, config_).metrics)
        results[i].metrics[prefix + name] = value;
    });
  };
  score("copy_", true);
  score("ceiling_", false);
}

// Of each request with a picture of a known direction as its only condition: the volume IoU of the training
// object with the nearest picture.
void UnitRunner::add_picture_retrieval(const model::Bundle& bundle, const TrainingTokens& training,
                                       const SampleUnit& unit, const std::vector<GenerationRequest>& requests,
                                       std::vector<SampleResult>& results) {
  std::vector<std::size_t> asked;
  std::vector<image::Image> pictures;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].images.size() != 1 || !set_.at(unit.objects[i]).has_truth()) continue;
    asked.push_back(i);
    pictures.push_back(std::get<image::Image>(requests[i].images.front().image));
  }
  if (asked.empty()) return;
  const std::vector<std::vector<std::int32_t>> codes = bundle.tokenizers.image()->encode(pictures);
  const auto compare = [&](std::size_t i, const geometry::OccupancyBits& bits) {
    results[i].metrics["nearest_picture_iou"] = intersection_over_union(bits, set_.at(unit.objects[i]).truth);
  };
  std::vector<std::size_t> unknown;  // to the source of objects: known by their codes alone
  std::vector<tokenizers::ShapeCodes> shapes;
  for (std::size_t k = 0; k < asked.size(); ++k) {
    const generation::View view = choose_views(unit.objects[asked[k]], 1).front();
    auto nearest = training.nearest_by_picture(codes[k], view);
    if (!nearest) continue;
    if (const auto shape = references_.shape_of(nearest->id, nearest->variation)) {
      compare(asked[k], *shape);
      continue;
    }
    unknown.push_back(asked[k]);
    shapes.push_back(std::move(nearest->codes));
  }
  if (unknown.empty()) return;
  const auto fields = bundle.tokenizers.shape()->decode(shapes);
  for (std::size_t k = 0; k < unknown.size(); ++k)
    compare(unknown[k], geometry::OccupancyBits(*fields[k], static_cast<int>(config_.iou_resolution)));
}

std::vector<SampleResult> UnitRunner::run_samples(const model::Bundle& bundle, const SampleUnit& unit) {
  set_.prepare(unit.objects);
  set_.prepare(unit.foreign);
  const sequence::Task task = measured_task(*unit.task, bundle.tasks);
  const ShapeReader* class_reader = sequence::makes(task, Modality::shape) ? reader() : nullptr;

  std::vector<GenerationRequest> requests(unit.objects.size());
  parallel_for(static_cast<std::int64_t>(requests.size()), 1, [&](std::int64_t begin, std::int64_t) {
    const auto i = static_cast<std::size_t>(begin);
    requests[i] = request_for(unit, task, set_.at(unit.objects[i]), unit.objects[i], bundle);
  });
  // Meshes are extracted with the scores, several at a time.
  const generation::SampleOptions options{.precision =
                                              model::parse_decode_precision(unit.setting->precision)};
  std::vector<GeneratedSample> samples;
  generation::make_samples(bundle, requests, options,
                           [&](GeneratedSample sample) { samples.push_back(std::move(sample)); });

  const TrainingTokens* training = sequence::makes(task, Modality::shape) ? training_tokens(bundle) : nullptr;
  const std::int64_t whole_length =
      training != nullptr ? bundle.tokenizers.shape()->geometry_code_count() : 0;
  const std::vector<tokenizers::ShapeCodes> own_codes = training != nullptr
                                                            ? encode_true_shapes(bundle, unit.objects, false)
                                                            : std::vector<tokenizers::ShapeCodes>();
  std::vector<SampleResult> results(samples.size());
  parallel_for(static_cast<std::int64_t>(samples.size()), 1, [&](std::int64_t begin, std::int64_t) {
    const auto i = static_cast<std::size_t>(begin);
    const EvaluationObject& object = set_.at(unit.objects[i]);
    const GeneratedSample& sample = samples[i];
    SampleResult& result = results[i] = start_result(object);
    if (!requests[i].prompts.empty()) result.prompt = requests[i].prompts.front();
    const bool pictured = unit.pictured.contains(unit.objects[i]);
    const std::string name = concat(unit.file_prefix, "-", set_.name_of(unit.objects[i]));
    if (!sample.texts.empty()) {
      result.text = sample.texts.back();
      result.metrics = score_text(result.text, object);
    }
    if (!sample.images.empty() && requests[i].view && object.has_truth()) {
      const image::Image truth =
          render_view(object.record.mesh, *requests[i].view, sample.images.back().width);
      result.metrics["psnr_db"] = image::psnr_db(sample.images.back(), truth);
    }
    if (!sample.shapes.empty()) {
      const geometry::OccupancyBits* foreign =
          unit.foreign.empty() ? nullptr : &set_.at(unit.foreign[i]).truth;
      const ShapeScores scores =
          score_shape(*sample.shapes.back().field, object, class_reader, foreign, config_);
      result.metrics.insert(scores.metrics.begin(), scores.metrics.end());
      if (unit.task->prompts != data::CaptionKind::complete && !requests[i].prompts.empty()) {
        if (const std::optional<double> named = named_colour_score(scores.mesh, result.prompt))
          result.metrics["named_colour"] = *named;
      }
      const std::vector<std::int32_t>& codes = sample.shapes.back().codes.geometry;
      if (training != nullptr && static_cast<std::int64_t>(codes.size()) == whole_length) {
        const bool verbatim = training->has_geometry(codes);
        result.metrics["verbatim"] = verbatim ? 1 : 0;
        if (!own_codes.empty())
          result.metrics["verbatim_right"] = verbatim && codes == own_codes[i].geometry ? 1 : 0;
      }
      if (pictured) result.pictures["generated"] = files_.save_strip(name, scores.mesh);
      if (pictured && config_.save_meshes) result.pictures["mesh"] = files_.save_mesh(name, scores.mesh);
    }
    if (!pictured) return;
    if (!sample.images.empty())
      result.pictures["image"] = files_.save_pictures(name + "-image", sample.images);
    std::vector<image::Image> given;
    for (const generation::ImageCondition& condition : requests[i].images)
      given.push_back(std::get<image::Image>(condition.image));
    if (!given.empty()) result.pictures["condition"] = files_.save_pictures(name + "-given", given);
    if (object.edit)
      result.pictures["condition"] = files_.save_strip(name + "-given", object.edit->before.mesh);
    if (object.has_truth()) {
      result.pictures["truth"] = files_.save_strip("truth-" + object.record.id, object.record.mesh);
    }
  });
  if (sequence::is_editing_task(task) && config_.controls.ceiling)
    add_edit_controls(bundle, unit.objects, *class_reader, results);
  if (training != nullptr && condition_count(task, Modality::image) == 1)
    add_picture_retrieval(bundle, *training, unit, requests, results);
  return results;
}

std::vector<SampleResult> UnitRunner::run_controls(const model::Bundle& bundle,
                                                   const std::vector<std::size_t>& objects) {
  set_.prepare(objects);
  const SweepControls& controls = config_.controls;
  const bool reconstruct = controls.ceiling && bundle.tokenizers.shape() != nullptr;
  const bool redraw = controls.ceiling && bundle.tokenizers.image() != nullptr;
  const ShapeReader* class_reader = controls.reader || reconstruct ? reader() : nullptr;

  std::vector<std::unique_ptr<tokenizers::DecodedShape>> reconstructions;
  if (reconstruct)
    reconstructions = bundle.tokenizers.shape()->decode(encode_true_shapes(bundle, objects, false));
  std::vector<image::Image> pictures(redraw ? objects.size() : 0), redrawn;
  if (redraw) {
    const int pixels = static_cast<int>(bundle.tokenizers.image()->config().image_size);
    parallel_for(static_cast<std::int64_t>(objects.size()), 1, [&](std::int64_t begin, std::int64_t) {
      const auto i = static_cast<std::size_t>(begin);
      pictures[i] = render_view(set_.at(objects[i]).record.mesh, choose_views(objects[i], 1).front(), pixels);
    });
    redrawn = bundle.tokenizers.image()->decode(bundle.tokenizers.image()->encode(pictures));
  }

  std::vector<SampleResult> results(objects.size());
  std::vector<geometry::OccupancyBits> nearest(objects.size());
  for (std::size_t i = 0; i < objects.size() && controls.nearest; ++i) {
    nearest[i] = references_.nearest_shape(set_.at(objects[i]).prompt);
  }
  if (controls.nearest) references_.prepare_shapes();
  parallel_for(static_cast<std::int64_t>(objects.size()), 1, [&](std::int64_t begin, std::int64_t) {
    const auto i = static_cast<std::size_t>(begin);
    const EvaluationObject& object = set_.at(objects[i]);
    SampleResult& result = results[i] = start_result(object);
    if (controls.nearest && nearest[i] != geometry::OccupancyBits()) {
      result.metrics["nearest_iou"] = intersection_over_union(nearest[i], object.truth);
    }
    if (controls.nearest) result.metrics["best_training_iou"] = references_.best_iou(object);
    if (controls.reader && !object.record.class_name.empty()) {
      const bool right = class_reader->class_of(object.coarse, &object.coarse) == object.record.class_name;
      result.metrics["reader_class"] = right ? 1 : 0;
    }
    if (reconstruct) {
      const ShapeScores scores = score_shape(*reconstructions[i], object, class_reader, nullptr, config_);
      for (const auto& [name, value] : scores.metrics) result.metrics["ceiling_" + name] = value;
    }
    if (redraw) result.metrics["image_psnr_db"] = image::psnr_db(pictures[i], redrawn[i]);
  });
  return results;
}

}  // namespace omni::evaluation
