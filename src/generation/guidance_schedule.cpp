#include "omni/generation/guidance_schedule.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::generation {

GuidanceSchedule parse_guidance_schedule(std::string_view name) {
  if (name == "constant") return GuidanceSchedule::constant;
  if (name == "linear") return GuidanceSchedule::linear;
  fail(ErrorKind::usage, "the guidance schedule '", name, "' is not known. Choose constant or linear");
}

double scheduled_weight(GuidanceSchedule schedule, double weight, std::int64_t choice, std::int64_t choices) {
  if (schedule == GuidanceSchedule::constant) return weight;
  const std::int64_t left = std::max<std::int64_t>(0, choices - choice);
  return 1 +
         (weight - 1) * static_cast<double>(left) / static_cast<double>(std::max<std::int64_t>(1, choices));
}

}  // namespace omni::generation
