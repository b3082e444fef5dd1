#include "edit_scores.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "evaluation_set.h"
#include "omni/core/error.h"
#include "omni/evaluation/shape_reader.h"
#include "omni/geometry/surface_points.h"

namespace omni::evaluation {
namespace {

using geometry::Vec3;

constexpr std::size_t kPoints = 2048, kLeastPoints = 16;

std::vector<Vec3> untouched_of(const std::vector<Vec3>& points, const data::ChangedSurface& changed) {
  const std::vector<std::uint8_t> is_changed = changed.at(points);
  std::vector<Vec3> kept;
  for (std::size_t i = 0; i < points.size(); ++i)
    if (is_changed[i] == 0) kept.push_back(points[i]);
  return kept;
}

double mean_distance(const std::vector<Vec3>& points, const geometry::MeshField& surface) {
  std::vector<float> distances(points.size());
  surface.distance(points, distances);
  return std::accumulate(distances.begin(), distances.end(), 0.0) / static_cast<double>(points.size());
}

double untouched_distance(const geometry::Mesh& mesh, const EditTruth& edit) {
  const double from_truth = mean_distance(edit.untouched, geometry::MeshField(mesh));
  CounterRng rng(2);
  const std::vector<Vec3> own =
      untouched_of(geometry::sample_surface(mesh, kPoints, rng).positions, edit.changed);
  const double to_truth = own.empty() ? from_truth : mean_distance(own, *edit.surface);
  return (from_truth + to_truth) / 2 / edit.diagonal;
}

// Whether most of the part's surface, where it truly is, has the new colour.
bool is_repainted(const geometry::SolidField& field, const EvaluationObject& object, std::size_t part) {
  const PartSurface own{.points = {object.parts.points[part]}, .colours = {object.parts.colours[part]}};
  return colour_score(field, own).value_or(0) == 1;
}

}  // namespace

data::ProceduralEdit choose_edit(const data::ProceduralWorld& world, std::int64_t object) {
  const std::vector<data::ProceduralEdit> edits = data::edits_of(world, object);
  ensure(!edits.empty(), "a procedural object that cannot be edited");
  std::vector<std::string> attributes;
  for (const data::ProceduralEdit& edit : edits) attributes.push_back(edit.attribute);
  std::sort(attributes.begin(), attributes.end());
  attributes.erase(std::unique(attributes.begin(), attributes.end()), attributes.end());
  CounterRng rng(hash_string("edit"), static_cast<std::uint64_t>(object));
  const std::string& attribute = attributes[rng.below(attributes.size())];
  std::vector<data::ProceduralEdit> fitting;
  for (const data::ProceduralEdit& edit : edits)
    if (edit.attribute == attribute) fitting.push_back(edit);
  return fitting[rng.below(fitting.size())];
}

std::unique_ptr<const EditTruth> make_edit_truth(const data::ProceduralWorld& world,
                                                 const data::ProceduralEdit& edit,
                                                 const geometry::Mesh& surface, int resolution) {
  data::ObjectRecord before = world.make(edit.before);
  const data::ObjectRecord after = world.describe(edit.after);
  data::EditInstructions instructions = data::edit_instructions(
      data::attribute_change(before.class_name, data::attributes_with_colours(before), edit.attribute,
                             data::attributes_with_colours(after).at(edit.attribute)));
  data::ChangedSurface changed(world, edit);
  CounterRng rng(hash_string("untouched"), static_cast<std::uint64_t>(edit.before));
  std::vector<Vec3> untouched =
      untouched_of(geometry::sample_surface(surface, kPoints, rng).positions, changed);
  geometry::OccupancyBits before_shape(*before.field, resolution),
      before_coarse(*before.field, ShapeReader::kResolution);
  return std::make_unique<const EditTruth>(
      EditTruth{.before = std::move(before),
                .before_shape = std::move(before_shape),
                .before_coarse = std::move(before_coarse),
                .instructions = std::move(instructions),
                .part = edit.part,
                .changed = std::move(changed),
                .untouched = std::move(untouched),
                .surface = std::make_unique<geometry::MeshField>(surface),
                .diagonal = length(surface.bounds().extent())});
}

std::map<std::string, double> score_edit(const tokenizers::DecodedShape& shape, const geometry::Mesh& mesh,
                                         const EvaluationObject& object, bool class_kept, int resolution) {
  const EditTruth& edit = *object.edit;
  const bool empty = mesh.triangles.empty();
  bool edited = false;
  if (!empty && edit.part >= 0) {
    edited = shape.has_colour() && is_repainted(shape, object, static_cast<std::size_t>(edit.part));
  } else if (!empty) {
    const geometry::OccupancyBits bits(shape, resolution);
    edited = class_kept &&
             intersection_over_union(bits, object.truth) > intersection_over_union(bits, edit.before_shape);
  }
  std::map<std::string, double> metrics = {{"class_kept", class_kept ? 1 : 0},
                                           {"edited_right", edited ? 1 : 0}};
  bool kept = true;
  if (edit.untouched.size() >= kLeastPoints) {
    if (!empty) metrics["untouched_distance"] = untouched_distance(mesh, edit);
    kept = !empty && metrics["untouched_distance"] <= kUntouchedShare;
    metrics["untouched_kept"] = kept ? 1 : 0;
  }
  metrics["edit_right"] = edited && kept ? 1 : 0;
  return metrics;
}

}  // namespace omni::evaluation
