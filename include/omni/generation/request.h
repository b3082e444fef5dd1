#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "omni/geometry/mesh.h"
#include "omni/image/image.h"
#include "omni/kernels/token_sampling.h"
#include "omni/sequence/task.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::generation {

// A direction in which an object is looked at, in degrees (see geometry::Camera). Models know it to 15
// degrees.
struct View {
  float azimuth_degrees = 0, elevation_degrees = 0;
};
View parse_view(std::string_view text);  // "azimuth,elevation"; throws Error(usage)
std::int32_t azimuth_bin(const View& view);
std::int32_t elevation_bin(const View& view);  // the nearest of -30 .. 60 degrees

struct ImageCondition {
  image::Image image;        // of any size
  std::optional<View> view;  // absent: unknown
};
// A shape in the normalised frame, as a tokenizer sees it or already as codes.
struct ShapeCondition {
  std::optional<tokenizers::ShapeSample> sample;
  tokenizers::ShapeCodes codes;          // used where there is no sample
  std::optional<float> longest_side_m;   // size before normalisation
  std::optional<geometry::Vec3> extent;  // of the bounding box, in any unit
};
// From a mesh of any size and place, closed or not. Throws Error(input) for a mesh without extent.
ShapeCondition shape_condition(geometry::Mesh mesh, const tokenizers::ShapeInput& input);

// One weight per condition, by modality: "text=3,image=1.5"; "3" means every condition.
struct GuidanceSettings {
  std::vector<std::pair<sequence::Modality, double>> by_modality;
  std::optional<double> everywhere;

  // Weights for the conditions of a task, in order. Throws Error(usage) for a modality that it does not
  // have among its conditions.
  std::vector<double> weights_for(const sequence::Task& task) const;
};
GuidanceSettings parse_guidance(std::string_view text);  // throws Error(usage)

// What is asked for. Conditions fill the task's segments without loss in order; a missing one is an error
// unless `allow_missing` is set, then it is dropped.
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

  kernels::SamplingSettings sampling;
  GuidanceSettings guidance;
  std::uint64_t seed = 0;
  std::int64_t count = 1;  // samples, numbered from first_sample
  std::uint64_t first_sample = 0;
};

// Which task fits what is given and what is wanted ("text", "image", "shape"). Throws Error(usage) if none
// does.
std::string default_task(std::size_t prompts, std::size_t images, std::size_t shapes,
                         sequence::Modality wanted, bool with_view);

}  // namespace omni::generation
