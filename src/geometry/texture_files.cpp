#include "texture_files.h"

#include "omni/core/error.h"
#include "references.h"

namespace omni::geometry {

void PixelBudget::check(const std::string& name) const {
  constexpr std::int64_t kMostPixels = 4 * image::kMaximumPixels;
  if (pixels_ > kMostPixels)
    fail(ErrorKind::input, "cannot read all pictures of mesh ", name, ": they have more than ", kMostPixels,
         " pixels together. Scale them down first.");
}

TextureFiles::Picture TextureFiles::read(const std::string& reference, const std::filesystem::path& within) {
  const auto [at, is_new] = pictures_.try_emplace({reference, within});
  if (!is_new) return at->second;
  try {
    const std::filesystem::path path = find_optional_file(reference, folder_, within, name_);
    const auto [file, is_new_file] = files_.try_emplace(path);
    if (is_new_file) file->second = budget_.spend(name_, [&] { return image::read_texture(path); });
    at->second = file->second;
  } catch (const Error& error) {
    notes_.add(kWithoutTextures, error.what());
  }
  return at->second;
}

bool TextureFiles::has(const std::string& reference, const std::filesystem::path& within) const {
  try {
    find_optional_file(reference, folder_, within, name_);
    return true;
  } catch (const Error&) {
    return false;  // which is the answer
  }
}

}  // namespace omni::geometry
