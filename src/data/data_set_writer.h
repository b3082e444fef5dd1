#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include "object_entry.h"
#include "omni/core/files.h"
#include "omni/data/data_set.h"
#include "tar_shard.h"

namespace omni::data {

// One object, ready to be written; made on any thread.
struct EncodedObject {
  ObjectEntry entry;
  std::vector<std::byte> glb;
  std::vector<std::vector<std::byte>> renders;  // PNG, in the order of entry.renders
};

// Encodes the record's mesh and renders it from each camera. Takes the record's captions and so on.
EncodedObject encode_object(ObjectRecord record, std::span<const geometry::Camera> cameras, int render_size);

// Throws Error(usage) unless so many canonical views of that size can be asked for.
void check_renders(int renders, int render_size);

// What dataset.json says beside the counts.
struct DataSetSettings {
  std::string source;  // "procedural" or "import"
  std::uint64_t seed = 0;
  std::uint64_t world_fingerprint = 0;
  geometry::LabelMode label = geometry::LabelMode::automatic;
  float epsilon = 0;
  std::string up = "y";
  std::int64_t skipped = 0;
  int renders = 0, render_size = 0;
};

// Fills a data set folder, which appears under its name on commit(). Not thread-safe.
class DataSetWriter {
 public:
  explicit DataSetWriter(const std::filesystem::path& out);
  void add(EncodedObject object);
  void commit(const DataSetSettings& settings);
  const std::filesystem::path& staging_path() const { return directory_.staging_path(); }
  std::int64_t size() const { return objects_; }
  const std::map<std::string, std::int64_t>& labels() const { return labels_; }

 private:
  void finish_shard();

  AtomicDirectory directory_;
  std::unique_ptr<TarShardWriter> shard_;
  int shards_ = 0;
  std::int64_t objects_ = 0, objects_in_shard_ = 0;
  std::string lines_;
  std::map<Split, std::int64_t> counts_;
  std::map<std::string, std::int64_t> labels_;  // objects of each label mode
};

}  // namespace omni::data
