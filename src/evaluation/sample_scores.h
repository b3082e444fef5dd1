#pragma once

#include <map>
#include <optional>
#include <string>

#include "evaluation_set.h"
#include "omni/evaluation/shape_reader.h"
#include "omni/geometry/mesh.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::evaluation {

// What is measured on one generated sample.

struct ShapeScores {
  // closed (and manifold), empty; with a true shape also iou, cd, f1, f2, normals, class, colour and, where a
  // foreign shape is given, shuffled_iou; of the result of an edit also what score_edit() tells.
  std::map<std::string, double> metrics;
  geometry::Mesh mesh;
};
// `reader` and `foreign` may be null.
ShapeScores score_shape(const tokenizers::DecodedShape& shape, const EvaluationObject& object,
                        const ShapeReader* reader, const geometry::OccupancyBits* foreign,
                        const SweepConfig& config);

// class: whether the text names the object's class; words: overlap with the nearest caption.
std::map<std::string, double> score_text(const std::string& text, const EvaluationObject& object);

}  // namespace omni::evaluation
