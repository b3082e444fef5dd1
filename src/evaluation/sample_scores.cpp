#include "sample_scores.h"

#include <algorithm>

#include "omni/evaluation/caption_retrieval.h"
#include "omni/evaluation/roughness.h"
#include "omni/generation/mesh_export.h"
#include "omni/geometry/shape_metrics.h"

namespace omni::evaluation {
namespace {

void compare_meshes(const geometry::Mesh& mesh, const EvaluationObject& object, const SweepConfig& config,
                    std::map<std::string, double>& metrics) {
  metrics["f1"] = metrics["f2"] = metrics["normals"] = 0;
  if (mesh.triangles.empty() || object.surface.triangles.empty()) return;
  const geometry::SurfaceComparison comparison =
      geometry::compare_surfaces(mesh, object.surface, static_cast<std::size_t>(config.surface_points),
                                 CounterRng(hash_string(object.record.id), 1));
  metrics["cd"] = comparison.chamfer_l1;
  metrics["f1"] = comparison.f_score_1;
  metrics["f2"] = comparison.f_score_2;
  metrics["normals"] = comparison.normal_consistency;
  metrics["roughness"] = dihedral_roughness(mesh);
}

bool contains_words(const std::vector<std::string>& text, const std::vector<std::string>& wanted) {
  return !wanted.empty() && std::search(text.begin(), text.end(), wanted.begin(), wanted.end()) != text.end();
}

}  // namespace

ShapeScores score_shape(const tokenizers::DecodedShape& shape, const EvaluationObject& object,
                        const ShapeReader* reader, const geometry::OccupancyBits* foreign,
                        const SweepConfig& config) {
  ShapeScores scores;
  generation::MeshOptions options;
  options.resolution = static_cast<int>(config.mesh_resolution);
  generation::ExtractedMesh extracted = generation::extract_mesh(shape, options);
  scores.mesh = std::move(extracted.mesh);
  const bool whole = extracted.health.healthy();
  scores.metrics["closed"] = whole ? 1 : 0;
  const bool empty = scores.mesh.triangles.empty();
  scores.metrics["empty"] = empty ? 1 : 0;
  if (!object.has_truth()) return scores;

  const geometry::OccupancyBits bits(shape, static_cast<int>(config.iou_resolution));
  scores.metrics["iou"] = intersection_over_union(bits, object.truth);
  if (foreign != nullptr) scores.metrics["shuffled_iou"] = intersection_over_union(bits, *foreign);
  compare_meshes(scores.mesh, object, config, scores.metrics);
  // Nothing is of no class and of no colour, whatever lies nearest and whatever a field says of its outside.
  if (reader != nullptr && !object.record.class_name.empty()) {
    const geometry::OccupancyBits coarse(shape, ShapeReader::kResolution);
    scores.metrics["class"] = !empty && reader->class_of(coarse) == object.record.class_name ? 1 : 0;
  }
  if (shape.has_colour()) {
    if (const std::optional<double> colour = colour_score(shape, object.parts)) {
      scores.metrics["colour"] = empty ? 0 : *colour;
    }
  }
  if (object.edit) {
    const auto found = scores.metrics.find("class");
    scores.metrics.merge(score_edit(shape, scores.mesh, object,
                                    found != scores.metrics.end() && found->second == 1,
                                    static_cast<int>(config.iou_resolution)));
  }
  return scores;
}

std::map<std::string, double> score_text(const std::string& text, const EvaluationObject& object) {
  std::map<std::string, double> metrics;
  if (!object.has_truth()) return metrics;
  if (!object.record.class_name.empty()) {
    metrics["class"] = contains_words(words_of(text), words_of(object.record.class_name)) ? 1 : 0;
  }
  double best = 0;
  for (const data::Caption& caption : object.record.captions) {
    if (caption.kind != data::CaptionKind::complete && caption.kind != data::CaptionKind::partial) continue;
    best = std::max(best, word_overlap(text, caption.text));
  }
  metrics["words"] = best;
  return metrics;
}

}  // namespace omni::evaluation
