#pragma once

#include <filesystem>

#include "sample_model.h"

namespace omni::test {

// Of `omni sample` from what write_small_cube3d() left in `folder`, over a file of prompts.
inline tools::SampleArguments small_cube3d_arguments(const std::filesystem::path& folder) {
  tools::SampleArguments arguments;
  arguments.model = "cube3d-v0.5";
  arguments.weights = folder.string();
  arguments.config = (folder / "gpt.json").string();
  arguments.prompts_file = "p.txt";
  arguments.guidance_schedule = "linear";
  return arguments;
}

}  // namespace omni::test
