#pragma once

#include <optional>
#include <string>

#include "omni/image/image.h"

namespace omni::image {

// A picture of one object, as pictures of the training sets show theirs: whole, in the middle of a square, before white.
struct ObjectPicture {
  Image image;            // three channels, square
  bool reframed = false;  // cut out and laid before white; otherwise the pixels are those that were given
  std::optional<std::string> doubt;  // why it may not be read well: "its ground is not plain"
};

// Cuts the object out of a picture whose ground is plain (of one colour, whichever, along the edges) and puts it into the
// middle at the usual size, unless it is there before white already. A picture without a plain ground stays as it is, its
// largest square in the middle, with a doubt; an object that an edge of the picture cuts off is a doubt, too.
// Pictures above 1,024 pixels a side are made smaller first.
// Throws Error(input) for a picture of one colour, by its name.
ObjectPicture frame_object(const Image& picture, const std::string& name);

}  // namespace omni::image
