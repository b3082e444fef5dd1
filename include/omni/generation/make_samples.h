#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "omni/generation/drawn_choices.h"
#include "omni/generation/mesh_export.h"
#include "omni/generation/request.h"
#include "omni/model/bundle.h"
#include "omni/model/decode_precision.h"

namespace omni::generation {

struct GeneratedShape {
  tokenizers::ShapeCodes codes;
  std::unique_ptr<tokenizers::DecodedShape> field;  // over the normalised frame
  std::optional<float> longest_side_m;              // as the model says
  std::optional<geometry::Vec3> box_shares;         // the model's extents as shares of the longest side
  // Where meshes are made: standing on Y = 0, in metres where the model says a size, else 1.92 long. Empty where
  // the field is nowhere inside.
  std::optional<ExtractedMesh> mesh;
};

// One sample: what was generated, in the order of the task's segments.
struct GeneratedSample {
  std::size_t request = 0;  // index of its request
  std::uint64_t sample_number = 0;
  sequence::Document document;
  double log_probability = 0;  // of its sampled tokens together, in nats; see run_programs()
  // Of its batch's drawing, pictures included, an even share (of all draws where it is the best of several); and what its
  // field and mesh took alone. On a GPU the two go on side by side.
  double drawing_seconds = 0, meshing_seconds = 0;
  std::vector<std::string> texts;
  std::vector<image::Image> images;
  std::vector<GeneratedShape> shapes;
};
using OnSample = std::function<void(GeneratedSample)>;

// What becomes after Ctrl-C of samples whose tokens are all drawn.
enum class AfterInterrupt {
  give_up,       // but for the one whose mesh is being made
  finish_drawn,  // they get their meshes and are handed on, which is told of
};

// How samples are computed and how far.
struct SampleOptions {
  std::int64_t sequences_per_batch = 96;  // decoded side by side, those for guidance included
  model::DecodePrecision precision;       // of the transformer
  bool decode_images = true;
  std::optional<MeshOptions> mesh;  // absent: shapes are left as fields
  // Tokens sampled so far and the most that there will be; once all are sampled, the two are equal.
  std::function<void(std::int64_t sampled, std::int64_t bound)> on_progress;
  AfterInterrupt after_interrupt = AfterInterrupt::give_up;
  DrawKeeper* keeper = nullptr;  // of what is drawn: with it, draws go on where they were. Not owned
};

// From requests to texts, pictures, shapes and meshes with the models of one bundle: all samples of all
// requests, request by request, each handed to `on_sample` when it is ready and not kept. A sample depends on
// its request, its number and the bundle alone, up to rounding. Throws as check_request(), Error(usage) for a
// prompt that is too long, and Error(interrupted) after Ctrl-C (see AfterInterrupt), which stops drawing at once; samples
// that were handed on before stay good.
void make_samples(const model::Bundle& bundle, std::span<const GenerationRequest> requests,
                  const SampleOptions& options, const OnSample& on_sample);

// The same for one request whose task makes a shape, which comes as a mesh: sample.shapes.back().mesh is
// there. Throws Error(usage) for a task without a shape.
void make_meshes(const model::Bundle& bundle, const GenerationRequest& request, SampleOptions options,
                 const OnSample& on_sample);

}  // namespace omni::generation
