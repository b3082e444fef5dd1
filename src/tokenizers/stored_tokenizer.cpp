#include "omni/tokenizers/stored_tokenizer.h"

#include <string_view>

#include "omni/core/files.h"
#include "omni/core/hash.h"
#include "omni/core/random.h"

namespace omni::tokenizers {
namespace {

constexpr std::string_view kConfigFile = "config.yaml", kWeightsFile = "weights.safetensors";

}  // namespace

void write_tokenizer_folder(const std::filesystem::path& folder, const StoredTokenizer& stored) {
  AtomicDirectory directory(folder, kWeightsFile);
  write_file_atomically(directory.staging_path() / kConfigFile, std::string_view(stored.config));
  nn::write_tensors(directory.staging_path() / kWeightsFile, stored.weights, stored.metadata);
  directory.commit();
}

std::string read_tokenizer_config(const std::filesystem::path& folder) {
  return read_file_text(folder / kConfigFile);
}

std::uint64_t folder_fingerprint(const std::filesystem::path& folder) {
  return hash_combine(hash_file(folder / kConfigFile), hash_file(folder / kWeightsFile));
}

std::uint64_t fingerprint(const StoredTokenizer& stored) {
  return hash_combine(hash_string(stored.config), nn::hash_tensors(stored.weights, stored.metadata));
}

}  // namespace omni::tokenizers
