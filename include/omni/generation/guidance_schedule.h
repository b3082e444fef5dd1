#pragma once

#include <cstdint>
#include <string_view>

namespace omni::generation {

// How the weight of a condition (see kernels::SamplingInput) changes over the choices of a sample.
enum class GuidanceSchedule : std::uint8_t {
  constant,
  // From the weight at the first choice towards 1: 1 + (weight - 1) (choices - choice) / choices. Cube3D's
  // (arXiv 2503.15475), whose scale is weight - 1.
  linear,
};
GuidanceSchedule parse_guidance_schedule(std::string_view name);  // throws Error(usage)

// At choice number `choice`, from 0, of `choices`.
double scheduled_weight(GuidanceSchedule schedule, double weight, std::int64_t choice, std::int64_t choices);

}  // namespace omni::generation
