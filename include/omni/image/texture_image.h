#pragma once

#include "omni/image/image.h"

namespace omni::image {

// Pictures as textures: the texels as the file stores them. Other than read_image() and decode_image(), which
// show what a picture means to a viewer, they ignore colour metadata (gAMA, iCCP, as glTF 2.0, section 3.8.3
// asks) and Exif's orientation, since texture coordinates count in the stored rows. Limits and errors are the
// same.
Image read_texture(const std::filesystem::path& path);
Image decode_texture(std::span<const std::byte> bytes, const std::string& name);

}  // namespace omni::image
