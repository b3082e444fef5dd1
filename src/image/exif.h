#pragma once

#include <cstddef>
#include <span>

#include "omni/image/image.h"

namespace omni::image {

// What Exif says of how a picture is to be held (TIFF tag 0x0112): 1 upright, 2 to 8 mirrored or turned.
// Looks into a JPEG (APP1), PNG (eXIf) or WebP (EXIF) file; 1 where there is nothing or it is broken.
int exif_orientation(std::span<const std::byte> file);

// The picture as it is to be held.
Image upright(Image image, int orientation);

}  // namespace omni::image
