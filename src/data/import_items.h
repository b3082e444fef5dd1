#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "omni/data/data_set.h"

namespace omni::data {

// What an import takes in: meshes with their captions, from a table or from file names.

struct ImportItem {
  std::filesystem::path file;
  std::string id, class_name;
  std::vector<Caption> captions;
};

// One item per mesh, in the order of its first row or of the paths. Ids are unique in the import. Throws
// Error(io) for a missing folder or table, Error(input) naming file and line or where there is no mesh.
// `warnings` receives what is left out of tables and of names, one for each kind.
std::vector<ImportItem> list_import_items(const std::vector<ImportFolder>& folders,
                                          std::vector<FileWarning>& warnings);

}  // namespace omni::data
