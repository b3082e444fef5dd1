#include "mesh_folder_source.h"

#include <bit>

#include "mesh_object.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "omni/core/random.h"

namespace omni::data {

namespace fs = std::filesystem;

MeshFolderSource::MeshFolderSource(const fs::path& folder, const geometry::MeshFieldOptions& labels)
    : folder_(folder), labels_(labels), files_(mesh_files_below(folder)) {
  if (files_.empty())
    fail(ErrorKind::input, "opening the source of objects ", folder,
         fs::is_empty(folder)
             ? ": it is empty"
             : ": it holds neither a data set (dataset.json) nor mesh files (GLB, glTF, OBJ, "
               "PLY, STL and others)",
         ". Check the path");
}

const fs::path& MeshFolderSource::file(std::int64_t index) const {
  if (index < 0 || index >= size())
    fail(ErrorKind::usage, "folder of meshes ", folder_, ": object ", index, " was asked for; there are ",
         size());
  return files_[static_cast<std::size_t>(index)];
}

ObjectRecord MeshFolderSource::describe(std::int64_t index) const {
  const fs::path relative = file(index).lexically_relative(folder_);
  ObjectRecord record;
  record.id = relative.generic_string();
  record.class_name = class_of_path(folder_, relative);
  if (std::string caption = caption_of_name(relative); !caption.empty())
    record.captions.push_back({std::move(caption)});
  return record;
}

ObjectRecord MeshFolderSource::load(std::int64_t index) const {
  ObjectRecord record = describe(index);
  std::vector<std::string> warnings;
  read_mesh_object(file(index), /*z_up=*/false, record, warnings);
  for (const std::string& warning : warnings) log_warning("mesh ", file(index).string(), " ", warning);
  record.field = std::make_unique<geometry::MeshField>(record.mesh, labels_);
  return record;
}

std::uint64_t MeshFolderSource::fingerprint() const {
  std::uint64_t hash =
      hash_combine(hash_string(label_mode_name(labels_.mode)), std::bit_cast<std::uint32_t>(labels_.epsilon));
  for (const fs::path& path : files_) {
    const std::string bytes = read_file_text(path, std::uint64_t{4} << 30);
    hash = hash_combine(hash, hash_string(path.lexically_relative(folder_).generic_string()));
    hash = hash_combine(hash, hash_string(bytes));
  }
  return hash;
}

}  // namespace omni::data
