#include "omni/model/bundle_content.h"

#include "omni/core/content_hash.h"
#include "tower_stamp.h"

namespace omni::model {

std::uint64_t bundle_content_hash(const std::filesystem::path& folder) {
  return content_hash(folder, [](const std::filesystem::path& file) {
    return file.extension() != ".panels" && file.extension() != ".tmp" && file.filename() != "figures.json" &&
           file.filename() != kTowerStampName;
  });
}

}  // namespace omni::model
