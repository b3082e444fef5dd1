#pragma once

// The heavy half of LibTorch, compiled once. torch/torch.h would add torch::nn and optimisers that are not
// used and triple the compile time of every file.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>
