#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "omni/checkpoint/manifest.h"
#include "omni/checkpoint/shard.h"

namespace omni::checkpoint {

// Whether the folder is a checkpoint, of this format or of the one before. It may be damaged.
bool is_checkpoint(const std::filesystem::path& folder);

// The tensors of a checkpoint, whole again however many ranks wrote it. Also reads the format before: a
// bundle, optimizer.safetensors and state.json in one folder.
class CheckpointReader {
 public:
  // Opens all files. Throws Error(io) where one is missing, Error(input) where one is damaged or they do not
  // make whole tensors. Sizes and places are checked, checksums are not: see damage_of().
  explicit CheckpointReader(std::filesystem::path folder);

  const std::filesystem::path& folder() const { return folder_; }
  const Manifest& manifest() const { return manifest_; }  // without files where the format is the one before
  // Where a bundle's files lie, but for its weights.
  const std::filesystem::path& common_folder() const { return common_; }

  // Shapes by name, as in Piece.
  const std::map<std::string, std::vector<std::int64_t>>& tensors() const { return shapes_; }
  // Copies the elements [first, first + target.size()) of a tensor. Throws Error(input) where there is no
  // such tensor or it is smaller.
  void read(const std::string& name, std::int64_t first, std::span<float> target) const;

 private:
  void add(const Piece& piece, const std::string& file);
  void open_shards();
  void open_old_format();
  void check_whole() const;

  std::filesystem::path folder_, common_;
  Manifest manifest_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, std::vector<std::int64_t>> shapes_;
  std::map<std::string, std::vector<Piece>> pieces_;  // of each tensor, in order
};

// What is wrong with a checkpoint, a line for each file, every checksum compared; empty: it can be read.
std::vector<std::string> damage_of(const std::filesystem::path& folder);

}  // namespace omni::checkpoint
