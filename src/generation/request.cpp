#include "omni/generation/request.h"

#include <algorithm>
#include <cmath>

#include "omni/core/error.h"
#include "omni/core/number.h"
#include "omni/geometry/camera.h"

namespace omni::generation {
namespace {

using sequence::Modality;

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  return read_number(text, {}, value).empty() ? std::optional(value) : std::nullopt;
}

std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view head = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return head;
}

[[noreturn]] void reject_guidance(std::string_view text, std::string_view reason) {
  fail(ErrorKind::usage, "reading the guidance \"", text, "\": ", reason,
       ". Write one number, or text=3,image=1.5.");
}

}  // namespace

View parse_view(std::string_view text) {
  std::string_view rest = text;
  const std::optional<double> azimuth = parse_number(take_until(rest, ','));
  const std::optional<double> elevation = parse_number(rest);
  if (!azimuth || !elevation) {
    fail(ErrorKind::usage, "reading the view \"", text,
         "\": it is not two numbers. Write azimuth,elevation in degrees, such as 45,15.");
  }
  if (std::abs(*azimuth) > 3600 || *elevation < -90 || *elevation > 90) {
    fail(ErrorKind::usage, "reading the view \"", text, "\": the elevation is outside -90 .. 90 degrees",
         " or the azimuth is beyond ten turns.");
  }
  return {static_cast<float>(*azimuth), static_cast<float>(*elevation)};
}

std::int32_t azimuth_bin(const View& view) {
  const float step = 360.0f / geometry::kAzimuthBins;
  const auto bin =
      static_cast<std::int32_t>(std::lround(view.azimuth_degrees / step)) % geometry::kAzimuthBins;
  return bin < 0 ? bin + geometry::kAzimuthBins : bin;
}

std::int32_t elevation_bin(const View& view) {
  std::int32_t best = 0;
  for (std::int32_t bin = 1; bin < geometry::kElevationBins; ++bin) {
    const float distance = std::abs(geometry::elevation_of_bin(bin) - view.elevation_degrees);
    if (distance < std::abs(geometry::elevation_of_bin(best) - view.elevation_degrees)) best = bin;
  }
  return best;
}

ShapeCondition shape_condition(geometry::Mesh mesh, const std::optional<geometry::Normalisation>& frame) {
  const geometry::Vec3 extent = mesh.bounds().empty() ? geometry::Vec3{} : mesh.bounds().extent();
  const float longest = std::max({extent.x, extent.y, extent.z});
  if (!(longest > 0) || !std::isfinite(longest)) {
    fail(ErrorKind::input, "preparing a mesh as a condition: it has no extent. Give one with a surface.");
  }
  return {.shape = std::move(mesh), .longest_side_m = longest, .extent = extent, .frame = frame};
}

std::vector<double> GuidanceSettings::weights_for(const sequence::Task& task) const {
  for (const auto& [modality, weight] : by_modality) {
    const bool present = std::any_of(
        task.segments.begin(), task.segments.end(),
        [&](const sequence::TaskSegment& segment) { return !segment.loss && segment.modality == modality; });
    if (!present) {
      fail(ErrorKind::usage, "setting guidance: the task ", task.name, " has no ",
           sequence::modality_name(modality), " condition. Leave that weight out.");
    }
  }
  std::vector<double> weights;
  for (const sequence::TaskSegment& segment : task.segments) {
    if (segment.loss) continue;
    double weight = everywhere.value_or(1.0);
    for (const auto& [modality, given] : by_modality) weight = modality == segment.modality ? given : weight;
    weights.push_back(weight);
  }
  return weights;
}

void validate(const GuidanceSettings& guidance) {
  static constexpr double kMaximumWeight = 100;
  const auto check_weight = [](double weight) {
    if (weight >= 0 && weight <= kMaximumWeight) return;
    fail(ErrorKind::usage, "setting guidance: the weight ", weight, " is outside 0 .. ", kMaximumWeight,
         ". 1 is none, 2 to 5 is usual.");
  };
  if (guidance.everywhere) check_weight(*guidance.everywhere);
  const auto& weights = guidance.by_modality;
  for (auto weight = weights.begin(); weight != weights.end(); ++weight) {
    check_weight(weight->second);
    const bool repeated = std::any_of(weights.begin(), weight,
                                      [&](const auto& earlier) { return earlier.first == weight->first; });
    if (repeated) {
      fail(ErrorKind::usage, "setting guidance: ", sequence::modality_name(weight->first),
           " has two weights. Give one.");
    }
  }
}

GuidanceSettings parse_guidance(std::string_view text) {
  GuidanceSettings settings;
  if (const std::optional<double> weight = parse_number(text)) {
    settings.everywhere = weight;
    validate(settings);
    return settings;
  }
  std::string_view rest = text;
  while (!rest.empty()) {
    std::string_view item = take_until(rest, ',');
    const std::string name(take_until(item, '='));
    const std::optional<double> weight = parse_number(item);
    if (name != "text" && name != "image" && name != "shape") {
      reject_guidance(text, concat("\"", name, "\" is no modality"));
    }
    if (!weight) reject_guidance(text, concat("the weight of ", name, " is not a number"));
    settings.by_modality.emplace_back(sequence::parse_modality(name), *weight);
  }
  if (settings.by_modality.empty()) reject_guidance(text, "it is empty");
  validate(settings);
  return settings;
}

std::string default_task(std::size_t prompts, std::size_t images, std::size_t shapes, Modality wanted,
                         bool with_view) {
  struct Choice {
    std::size_t prompts, images, shapes;
    Modality wanted;
    bool with_view;
    const char* task;
  };
  constexpr Modality text = Modality::text, image = Modality::image, shape = Modality::shape;
  static constexpr Choice choices[] = {
      {1, 0, 0, shape, false, "text->shape"},
      {0, 1, 0, shape, false, "image->shape"},
      {0, 2, 0, shape, false, "image@view*2->shape"},
      {0, 4, 0, shape, false, "image@view*4->shape"},
      {1, 1, 0, shape, false, "text+image->shape"},
      {1, 0, 1, shape, false, "shape+text->shape"},
      {1, 0, 0, image, false, "text->image"},
      {1, 0, 0, image, true, "text->image@view"},
      {0, 0, 1, image, false, "shape->image"},
      {0, 0, 1, image, true, "shape->image@view"},
      {0, 1, 0, image, true, "image@view->image@view"},
      {1, 1, 0, image, false, "image+text->image"},
      {1, 1, 0, image, true, "image@view+text->image@view"},
      {0, 1, 0, text, false, "image->text"},
      {0, 0, 1, text, false, "shape->text"},
  };
  for (const Choice& choice : choices) {
    const bool view_fits = wanted != image || choice.with_view == with_view;
    if (choice.prompts == prompts && choice.images == images && choice.shapes == shapes &&
        choice.wanted == wanted && view_fits) {
      return choice.task;
    }
  }
  fail(ErrorKind::usage, "choosing a task: none leads from ", prompts, " prompts, ", images, " images and ",
       shapes, " meshes to ",
       wanted == text    ? "a "
       : wanted == image ? "an "
                         : "a ",
       sequence::modality_name(wanted), ". Give one condition, or name the task with --task.");
}

}  // namespace omni::generation
