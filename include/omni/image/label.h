#pragma once

#include <string_view>

#include "omni/image/image.h"

namespace omni::image {

// The picture with a strip below that says what it shows, in the middle, in letters of 5 x 7 pixels, larger
// under pictures of 256 pixels and more. Known are a to z, 0 to 9, "-", "." and the degree sign; others are
// gaps. The strip of a text that is too long stays empty, as that of "": pictures of one size keep one size.
Image labelled(const Image& image, std::string_view text);

}  // namespace omni::image
