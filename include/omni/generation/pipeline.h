#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "omni/generation/request.h"
#include "omni/model/bundle.h"
#include "omni/model/decode_precision.h"

namespace omni::generation {

struct GeneratedShape {
  tokenizers::ShapeCodes codes;
  std::unique_ptr<tokenizers::DecodedShape> field;  // over the normalised frame
  std::optional<float> longest_side_m;              // as the model says
  std::optional<geometry::Vec3> box_shares;         // extents as shares of the longest side, likewise
};

// One sample: what was generated, in the order of the task's segments.
struct GeneratedSample {
  std::size_t request = 0;  // index of its request
  std::uint64_t sample_number = 0;
  sequence::Document document;
  std::vector<std::string> texts;
  std::vector<image::Image> images;
  std::vector<GeneratedShape> shapes;
};

struct GeneratorOptions {
  std::int64_t sequences_per_batch = 96;
  model::DecodePrecision precision;  // of the transformer
  bool decode_images = true;
  // Tokens sampled so far and the most that there will be.
  std::function<void(std::int64_t sampled, std::int64_t bound)> on_progress;
};

// From requests to texts, pictures and shapes with the models of one bundle, which must outlive it.
class Generator {
 public:
  explicit Generator(const model::Bundle& bundle, GeneratorOptions options = {});

  // Whether a request can be served, before any work: throws Error(usage) that names a missing condition, one
  // too many, a modality that the bundle lacks, too long a prompt, a length that is not offered.
  void check(const GenerationRequest& request) const;

  // All samples of all requests, request by request. A sample depends on its request, its number and the
  // bundle alone, up to rounding. Throws as check(), and Error(interrupted) after Ctrl-C.
  std::vector<GeneratedSample> generate(std::span<const GenerationRequest> requests) const;

 private:
  const model::Bundle* bundle_;
  GeneratorOptions options_;
};

}  // namespace omni::generation
