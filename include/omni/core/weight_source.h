#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "omni/core/safetensors.h"

namespace omni {

// The tensors of a published model, mapped into memory and not copied: of one safetensors file, or of the shards that an
// index file lists. Everything is checked on opening, before any tensor's bytes are touched.
class WeightSource {
 public:
  // `path`: a safetensors file; an index (*.json); or a folder with model.safetensors.index.json or model.safetensors.
  // Throws Error(io) where a file is missing, also one that the index names, and Error(input) for a file that is
  // truncated or broken, for a tensor that is in another shard than the index says, in two of them, or in none, and for
  // one that a shard holds and the index does not list.
  explicit WeightSource(const std::filesystem::path& path);

  const std::string& name() const { return name_; }  // of the file or the index, for messages
  // By name; the bytes belong to this object.
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  bool contains(const std::string& tensor) const { return tensors_.contains(tensor); }
  // Throws Error(input) naming file and tensor where it is missing, or of a type that nothing here computes with.
  const TensorView& at(const std::string& tensor) const;
  double element_count() const;  // of all tensors
  // The files that hold them, in the order of their names.
  const std::vector<std::filesystem::path>& files() const { return paths_; }

 private:
  void add(const std::filesystem::path& path);

  std::string name_;
  std::vector<std::filesystem::path> paths_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, TensorView> tensors_;
};

// The weight_map of an index file, {"weight_map": {"<tensor>": "<file beside the index>"}}: tensor -> file name. Throws
// Error(input) for anything else, such as a name that leads out of the folder; `name` appears in errors.
std::map<std::string, std::string> parse_weight_index(std::string_view json, const std::string& name);

}  // namespace omni
