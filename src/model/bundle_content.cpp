#include "omni/model/bundle_content.h"

#include "omni/core/content_hash.h"

namespace omni::model {

std::uint64_t bundle_content_hash(const std::filesystem::path& folder) {
  return content_hash(folder, [](const std::filesystem::path& file) {
    return file.extension() != ".panels" && file.extension() != ".tmp" && file.filename() != "figures.json";
  });
}

}  // namespace omni::model
