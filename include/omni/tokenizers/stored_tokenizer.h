#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "omni/nn/parameters.h"

namespace omni::tokenizers {

// What the folder of an image or shape tokenizer holds.
struct StoredTokenizer {
  std::string config;                           // config.yaml
  nn::NamedTensors weights;                     // weights.safetensors, in the types that are written
  std::map<std::string, std::string> metadata;  // of the weights
};

// Atomic; an older tokenizer at `folder` is replaced. Throws Error(io), or Error(usage) for a folder with
// other things in it.
void write_tokenizer_folder(const std::filesystem::path& folder, const StoredTokenizer& stored);
// The config.yaml of a folder, as it stands there. Throws Error(io).
std::string read_tokenizer_config(const std::filesystem::path& folder);

// Equal bytes of both files, equal fingerprint: of a folder, and of what write_tokenizer_folder would write.
// Throws Error(io).
std::uint64_t folder_fingerprint(const std::filesystem::path& folder);
std::uint64_t fingerprint(const StoredTokenizer& stored);

}  // namespace omni::tokenizers
