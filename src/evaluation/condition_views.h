#pragma once

#include <vector>

#include "omni/generation/request.h"
#include "omni/geometry/mesh.h"
#include "omni/image/image.h"

namespace omni::evaluation {

// The pictures of held-out objects that tasks start from or are compared with.

// `count` different canonical views; which ones depends on `number` alone.
std::vector<generation::View> choose_views(std::size_t number, std::size_t count);
// As training pictures are rendered.
image::Image render_view(const geometry::Mesh& mesh, const generation::View& view, int pixels);

}  // namespace omni::evaluation
