#pragma once

#include <vector>

#include "omni/generation/mesh_export.h"
#include "omni/image/image.h"

namespace omni::training {

// Pictures of samples, one row each, in cells of one size: a square, and below it the view of a mesh.

using Cells = std::vector<image::Image>;

void append_cell(Cells& cells, const image::Image& image);
// Four sides; white where there is nothing.
void append_cells(Cells& cells, const geometry::Mesh& mesh);

struct SheetRow {
  Cells conditions, sample, truth;
};
// The parts of the rows stand below one another. At least one cell.
image::Image sample_sheet(const std::vector<SheetRow>& rows);

}  // namespace omni::training
