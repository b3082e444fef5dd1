#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "omni/generation/cube3d_program.h"
#include "omni/generation/make_samples.h"
#include "omni/kernels/tensor.h"
#include "omni/model/public_model.h"

namespace omni::generation {

// From texts to meshes with a public Cube3D (Roblox 2025, arXiv 2503.15475). The text tower is asked first and may go
// before the rest is loaded.

// The text tower's features of prompts, and of no text, from which guidance leads away.
struct TextFeatures {
  at::Tensor prompts;  // [P, rows, width]
  at::Tensor no_text;  // [1, rows, width]
};
// What is too long for the tower is cut off, as the reference does, which a warning tells. Throws Error(input) where the
// text tower came without its tokenizer.
TextFeatures text_features(const model::TextTower& text, const std::vector<std::string>& prompts);

inline constexpr int kCube3dMeshResolution = 256;  // of the reference's meshes; where MeshOptions say 0

// What to draw of one prompt.
struct TextToShapeRequest {
  // The sides of the shape's box along x, y and z, in any unit: their shares of the longest one count.
  std::optional<geometry::Vec3> box;
  Cube3dSampling sampling;  // `codes`: as many as the tokenizer's shapes have
  std::int64_t count = 1;   // samples, numbered from first_sample
  std::uint64_t first_sample = 0;
  std::int64_t best_of = 1;  // each sample is the most probable one of so many draws
};

// Throws Error(usage) naming a box whose sides are not all above 0, or that this version knows none, and what is out of
// range.
void check_request(const TextToShapeRequest& request, const model::Cube3dGptConfig& config);

// Samples of requests[i] for texts.prompts[i], each handed to `on_sample` when it is ready and not kept. Its document is
// the shape alone; its mesh has the proportions that were decoded, stands on Y = 0 and is at most about 1.92 long. A sample
// depends on its request, its number and the model alone, up to rounding. Throws as check_request(), Error(usage) for a
// model without a shape tokenizer, and Error(interrupted) after Ctrl-C.
void make_samples(const model::Cube3dModel& model, const TextFeatures& texts,
                  std::span<const TextToShapeRequest> requests, const SampleOptions& options,
                  const OnSample& on_sample);

}  // namespace omni::generation
