#pragma once

#include <functional>
#include <string>

#include "omni/generation/request.h"
#include "sample_arguments.h"

namespace omni::tools {

// The memory of commands that sample.

// Before weights are read: throws Error(out_of_memory) where sampling on the CPU takes more than is free, with
// what would fit. Small models are not looked at.
void require_memory(const SampleArguments& arguments, const generation::GenerationRequest& request,
                    const std::string& precision);

// The same of any model, which takes so many bytes beside the program itself. -> the bytes that are free for it.
double require_memory(const std::string& model, const std::string& precision,
                      const std::function<double(const std::string& precision)>& bytes);
// The same of the GPU's memory.
double require_gpu_memory(const std::string& model, const std::string& precision,
                          const std::function<double(const std::string& precision)>& bytes);

// Says the most that was taken: of the process, with the pages of files that it maps, and of the GPU.
void tell_peak_memory(bool on_gpu);

}  // namespace omni::tools
