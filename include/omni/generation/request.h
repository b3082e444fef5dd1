#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "omni/generation/guidance_schedule.h"
#include "omni/geometry/mesh.h"
#include "omni/image/image.h"
#include "omni/kernels/token_sampling.h"
#include "omni/sequence/task.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::model {
struct Bundle;
}

namespace omni::generation {

// A direction in which an object is looked at, in degrees (see geometry::Camera). Models know it to 15
// degrees.
struct View {
  float azimuth_degrees = 0, elevation_degrees = 0;
};
View parse_view(std::string_view text);        // "azimuth,elevation"; throws Error(usage)
std::int32_t azimuth_bin(const View& view);    // the nearest; see geometry/camera.h
std::int32_t elevation_bin(const View& view);  // the nearest of -30 .. 60 degrees

struct ImageCondition {
  std::variant<image::Image, std::vector<std::int32_t>> image;  // of any size; or codes already, row by row
  std::optional<View> view;                                     // absent: unknown
};
// A shape as a mesh of any size and place, closed or not; as a tokenizer sees one in the normalised frame; or
// as codes already.
struct ShapeCondition {
  std::variant<tokenizers::ShapeCodes, tokenizers::ShapeSample, geometry::Mesh> shape;
  std::optional<float> longest_side_m;   // size before normalisation; absent: unknown
  std::optional<geometry::Vec3> extent;  // of the bounding box, in any unit; absent: unknown
  // Of a mesh: where its file says that the normalised frame lies; absent: its bounding box tells.
  std::optional<geometry::Normalisation> frame = {};
};
// With the mesh's own size and extent. Throws Error(input) for a mesh without extent.
ShapeCondition shape_condition(geometry::Mesh mesh, const std::optional<geometry::Normalisation>& frame = {});

// One weight per condition, by modality: "text=3,image=1.5"; "3" means every condition.
struct GuidanceSettings {
  std::vector<std::pair<sequence::Modality, double>> by_modality;
  std::optional<double> everywhere;
  GuidanceSchedule schedule = GuidanceSchedule::constant;

  // Weights for the conditions of a task, in order. Throws Error(usage) for a modality that it does not
  // have among its conditions.
  std::vector<double> weights_for(const sequence::Task& task) const;
};
// Throws Error(usage) for a weight outside 0 .. 100 and for two weights of one modality.
void validate(const GuidanceSettings& guidance);
GuidanceSettings parse_guidance(std::string_view text);  // throws Error(usage), as validate() too

// What is asked for: a plain value that knows no model. Conditions fill the task's segments without loss in
// order; a missing one is an error unless `allow_missing` is set, then it is dropped.
struct GenerationRequest {
  sequence::Task task;
  std::vector<std::string> prompts;
  std::vector<ImageCondition> images;
  std::vector<ShapeCondition> shapes;
  bool allow_missing = false;

  // For generated images whose task names a view; absent: the model chooses one.
  std::optional<View> view;
  std::int64_t geometry_codes = 0;  // the number of codes of generated shapes; 0: all
  bool with_colour = true;
  std::vector<std::int32_t> first_codes;  // that generated shapes start with: they are completed

  kernels::SamplingSettings sampling;
  GuidanceSettings guidance;
  std::uint64_t seed = 0;
  std::int64_t count = 1;  // samples, numbered from first_sample
  std::uint64_t first_sample = 0;
  std::int64_t best_of = 1;  // each sample is the most probable one of so many draws
};

// Whether the models of a bundle can serve a request, before any work: throws Error(usage) that names a
// missing condition, one too many, a modality that the bundle lacks, a length that is not offered, a setting
// out of range. How long a prompt may be is known once it is encoded: make_samples() tells.
void check_request(const GenerationRequest& request, const model::Bundle& bundle);

// Which task fits what is given and what is wanted ("text", "image", "shape"). Throws Error(usage) if none
// does.
std::string default_task(std::size_t prompts, std::size_t images, std::size_t shapes,
                         sequence::Modality wanted, bool with_view);

}  // namespace omni::generation
