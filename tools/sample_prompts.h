#pragma once

#include "sample_arguments.h"

namespace omni::tools {

// `omni sample --prompts FILE --out FOLDER`: every prompt of the file, into one folder that a second run goes on
// with (see SampleFolder). A prompt that cannot be used costs itself: it is told of in results.jsonl, and the
// command ends with Error(input) once all others are done.
void sample_prompts(const SampleArguments& arguments);

}  // namespace omni::tools
