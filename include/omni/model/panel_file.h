#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "omni/kernels/decode_format.h"
#include "omni/kernels/tensor.h"
#include "omni/model/transformer.h"

namespace omni::model {

// A transformer's weights, packed for decoding in one format, in a file of their own: a decode session reads
// them where they lie in the system's page cache, without a copy, and programs that run at once share them. The
// file is made once for each state of the weights' own file.

// Gives a parameter of the transformer by name and in that shape, fp32 or bf16.
using ParameterReader = std::function<at::Tensor(const std::string& parameter, at::IntArrayRef shape)>;

struct MappedWeights {
  std::vector<std::filesystem::path> files;  // safetensors, whose weights they are
  kernels::DecodeFormat format = kernels::DecodeFormat::fp32;
  TransformerConfig config;  // without codebooks, whose share `values` adds to the rows
  sequence::Vocabulary vocabulary;
  sequence::SequenceLayout layout;
  ParameterReader values;            // asked one at a time, and only where a file is made
  std::vector<std::string> changed;  // parameters that will be written to: copied, not mapped
};

// Below, weights are packed faster than a file of them is worth.
constexpr std::uint64_t kSmallestMappedFile = std::uint64_t{256} << 20;

// A transformer for decoding in that format alone: its matrices have no values but packed ones. Makes the file
// if there is none that fits; another process that does the same meanwhile does no harm. Throws what `values`
// throws, Error(io) where the file can be written nowhere, Error(interrupted).
std::unique_ptr<Transformer> map_transformer(const MappedWeights& weights);

// Where such files may lie, in the order in which they are looked for: beside the weights, and in the user's
// cache folder ($XDG_CACHE_HOME/omni, else ~/.cache/omni; without either there is none), where they are made if they
// cannot be written beside the weights.
std::vector<std::filesystem::path> panel_file_places(const std::filesystem::path& weights,
                                                     kernels::DecodeFormat format);

}  // namespace omni::model
