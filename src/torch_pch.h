#pragma once

// The heavy half of LibTorch, compiled once. torch/torch.h would add torch::nn and optimisers that are not
// used and triple the compile time of every file. What a header's inline functions ask of templates is made
// again in every file that takes it, used or not: so what few files need, as torch/csrc/autograd, they include.
#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>
