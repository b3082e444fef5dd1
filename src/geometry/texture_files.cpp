#include "texture_files.h"

#include "omni/core/error.h"
#include "references.h"

namespace omni::geometry {

TextureFiles::Picture TextureFiles::read(const std::string& reference, const std::filesystem::path& within) {
  const auto [at, is_new] = pictures_.try_emplace({reference, within});
  if (!is_new) return at->second;
  try {
    at->second = std::make_shared<const image::Image>(
        image::read_texture(find_optional_file(reference, folder_, within, name_)));
  } catch (const Error& error) {
    notes_.add(kWithoutTextures, error.what());
  }
  return at->second;
}

}  // namespace omni::geometry
