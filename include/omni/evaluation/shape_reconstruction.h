#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "omni/data/object_source.h"
#include "omni/geometry/mesh.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::evaluation {

// An object after it went through a shape tokenizer, at one number of codes.
struct Reconstruction {
  std::int64_t codes = 0;
  // thickness (of the object); iou (volume, 64^3); cd_l1, f1, f2, normals by the protocol of
  // geometry::compare_surfaces (absent where nothing was reconstructed); colour_error (mean absolute, 0 to
  // 255, at the visible surface; absent without colour codes).
  std::map<std::string, double> metrics;
  geometry::Mesh mesh;  // empty where the codes describe an empty shape
  tokenizers::ShapeCodes shape_codes;
};

// One for each length that the tokenizer offers, ascending. `seed` draws surface points.
std::vector<Reconstruction> reconstruct(const tokenizers::ShapeTokenizer& tokenizer,
                                        const data::ObjectRecord& object, std::uint64_t seed);

}  // namespace omni::evaluation
