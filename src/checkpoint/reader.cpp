#include "omni/checkpoint/reader.h"

#include <algorithm>
#include <cstring>

#include "old_format.h"
#include "omni/checkpoint/run_folder.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/hash.h"
#include "tensor_size.h"

namespace omni::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLongestManifest = std::uint64_t{64} << 20;

Manifest read_manifest(const fs::path& folder) {
  const fs::path path = folder / kManifestName;
  return parse_manifest(read_file_text(path, kLongestManifest), concat("reading '", path.string(), "'"));
}

// "" where the file is as it was written.
std::string damage_of_file(const fs::path& path, const StoredFile& written) {
  std::error_code error;
  const std::uint64_t bytes = fs::file_size(path, error);
  if (error) return concat("'", path.string(), "' cannot be read: ", error.message());
  if (bytes != written.bytes)
    return concat("'", path.string(), "' has ", bytes, " bytes, and ", written.bytes, " were written");
  try {
    if (hash_file(path) == written.checksum) return "";
  } catch (const Error& unreadable) {
    return unreadable.what();
  }
  return concat("'", path.string(), "' has another checksum than was written with it");
}

}  // namespace

bool is_checkpoint(const fs::path& folder) {
  return fs::exists(folder / kManifestName) || is_old_checkpoint(folder);
}

CheckpointReader::CheckpointReader(fs::path folder)
    : folder_(std::move(folder)), common_(common_folder_of(folder_)) {
  if (!fs::exists(folder_ / kManifestName) && is_old_checkpoint(folder_))
    open_old_format();
  else
    open_shards();
  check_whole();
}

void CheckpointReader::open_shards() {
  manifest_ = read_manifest(folder_);
  for (const StoredFile& shard : manifest_.shards) {
    files_.push_back(std::make_unique<SafetensorsFile>(folder_ / shard.name));
    for (const Piece& piece : read_shard(*files_.back())) add(piece, files_.back()->name());
  }
}

void CheckpointReader::open_old_format() {
  OldCheckpoint old = open_old_checkpoint(folder_);
  manifest_.run = std::move(old.run);
  files_ = std::move(old.files);
  for (const Piece& piece : old.pieces) add(piece, folder_.string());
}

void CheckpointReader::add(const Piece& piece, const std::string& file) {
  const auto [known, is_new] = shapes_.emplace(piece.name, piece.shape);
  if (!is_new && known->second != piece.shape)
    fail(ErrorKind::input, "reading '", file, "': tensor '", piece.name,
         "' has another shape than in the other shards. The files are not of one checkpoint");
  pieces_[piece.name].push_back(piece);
}

void CheckpointReader::check_whole() const {
  for (const auto& [name, shape] : shapes_) {
    // Elements that no piece has, or two have, change the sum or the order.
    std::vector<std::pair<std::int64_t, std::int64_t>> stretches;
    for (const Piece& piece : pieces_.at(name)) stretches.emplace_back(piece.first, piece.count());
    std::sort(stretches.begin(), stretches.end());
    std::int64_t next = 0;
    bool whole = true;
    for (const auto& [first, count] : stretches) {
      whole = whole && first == next;
      next = first + count;
    }
    if (!whole || next != tensor_size(shape))
      fail(ErrorKind::input, "reading the checkpoint '", folder_.string(), "': parts of the tensor '", name,
           "' are missing or there twice. The files are not of one checkpoint");
  }
}

void CheckpointReader::read(const std::string& name, std::int64_t first, std::span<float> target) const {
  const auto found = pieces_.find(name);
  if (found == pieces_.end())
    fail(ErrorKind::input, "reading the checkpoint '", folder_.string(), "': the tensor '", name,
         "' is missing");
  const auto end = first + static_cast<std::int64_t>(target.size());
  if (first < 0 || end > tensor_size(shapes_.at(name)))
    fail(ErrorKind::input, "reading the checkpoint '", folder_.string(), "': the tensor '", name,
         "' is smaller than what is to be read of it");
  for (const Piece& piece : found->second) {
    const std::int64_t from = std::max(first, piece.first), to = std::min(end, piece.first + piece.count());
    if (from >= to) continue;
    std::memcpy(target.data() + (from - first),
                piece.bytes.data() + static_cast<std::size_t>(from - piece.first) * sizeof(float),
                static_cast<std::size_t>(to - from) * sizeof(float));
  }
}

std::vector<std::string> damage_of(const fs::path& folder) {
  std::vector<std::string> damage;
  const auto check = [&](const fs::path& below, const std::vector<StoredFile>& files) {
    for (const StoredFile& file : files)
      if (std::string wrong = damage_of_file(below / file.name, file); !wrong.empty())
        damage.push_back(std::move(wrong));
  };
  try {
    if (!is_checkpoint(folder)) {
      damage.push_back(concat("'", (folder / kManifestName).string(), "' is missing"));
      return damage;
    }
    if (fs::exists(folder / kManifestName)) {
      const Manifest manifest = read_manifest(folder);
      check(folder, manifest.shards);
      check(common_folder_of(folder), manifest.common);
    }
    if (damage.empty()) CheckpointReader{folder};
  } catch (const Error& error) {
    damage.emplace_back(error.what());
  }
  return damage;
}

}  // namespace omni::checkpoint
