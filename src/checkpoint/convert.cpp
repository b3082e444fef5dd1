#include "omni/checkpoint/convert.h"

#include "omni/checkpoint/reader.h"
#include "omni/checkpoint/run_folder.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "tensor_size.h"

namespace omni::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "model.safetensors";  // which shards hold instead

// common/ beside `to`, as it is or made from the checkpoint's.
std::vector<StoredFile> common_beside(const fs::path& to, const fs::path& source) {
  std::vector<StoredFile> wanted = stored_files(source);
  std::erase_if(wanted, [](const StoredFile& file) { return file.name == kWeights; });
  const fs::path target = common_folder_of(to);
  if (fs::exists(target)) {
    if (stored_files(target) != wanted)
      fail(ErrorKind::usage, "converting into '", to.string(), "': '", target.string(),
           "' beside it is of another run. Choose another folder");
    return wanted;
  }
  AtomicDirectory directory(target, "bundle.yaml");
  for (const StoredFile& file : wanted) {
    const fs::path copy = directory.staging_path() / file.name;
    fs::create_directories(copy.parent_path());
    fs::copy_file(source / file.name, copy);
  }
  directory.commit();
  return wanted;
}

// The share of one rank: of every tensor an equal stretch.
StoredFile write_share(const CheckpointReader& reader, const fs::path& folder, int rank, int ranks) {
  std::vector<std::vector<float>> values;
  std::vector<Piece> pieces;
  for (const auto& [name, shape] : reader.tensors()) {
    const std::int64_t size = tensor_size(shape);
    const std::int64_t first = share_begin(size, rank, ranks), end = share_begin(size, rank + 1, ranks);
    std::vector<float>& part = values.emplace_back(static_cast<std::size_t>(end - first));
    reader.read(name, first, part);
    pieces.push_back({name, shape, first, std::as_bytes(std::span(part))});
  }
  return write_shard(folder / shard_name(rank, ranks), pieces);
}

}  // namespace

void convert_checkpoint(const fs::path& from, const fs::path& to, int shards) {
  ensure(shards > 0, "a checkpoint has one shard at least");
  if (fs::exists(to))
    fail(ErrorKind::usage, "converting into '", to.string(), "': it is there already. Choose another folder");
  if (const std::vector<std::string> damage = damage_of(from); !damage.empty())
    fail(ErrorKind::input, "converting '", from.string(), "': ", damage.front());
  const CheckpointReader reader(from);
  Manifest manifest = reader.manifest();
  manifest.shards.clear();
  manifest.common = common_beside(to, reader.common_folder());
  AtomicDirectory directory(to, kManifestName);
  for (int rank = 0; rank < shards; ++rank)
    manifest.shards.push_back(write_share(reader, directory.staging_path(), rank, shards));
  write_file_atomically(directory.staging_path() / kManifestName, to_json(manifest));
  directory.commit();
}

}  // namespace omni::checkpoint
