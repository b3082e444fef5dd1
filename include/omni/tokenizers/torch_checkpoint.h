#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "omni/kernels/tensor.h"

namespace omni::tokenizers {

// The tensors of a PyTorch checkpoint (.pt: a zip of stored entries with a pickle), by their path through
// nested dictionaries, joined by dots: {"model": {"conv.weight": t}} gives "model.conv.weight". Other values
// (numbers, texts) are left out. The pickle is read as data: it can name only what state dictionaries are
// made of, and nothing in it is ever run. Every size and offset is checked against the file before memory is
// taken. Throws Error(io), or Error(input) for a broken file or one with anything else inside.
std::map<std::string, at::Tensor> read_torch_checkpoint(const std::filesystem::path& path);
// The same from memory; `name` appears in errors.
std::map<std::string, at::Tensor> parse_torch_checkpoint(std::span<const std::byte> bytes,
                                                         const std::string& name);

}  // namespace omni::tokenizers
