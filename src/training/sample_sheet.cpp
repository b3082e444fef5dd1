#include "sample_sheet.h"

#include <algorithm>

#include "omni/image/label.h"

namespace omni::training {
namespace {

constexpr int kCellPixels = 128, kSides = 4;

image::Image white_cell() { return image::labelled(image::Image(kCellPixels, kCellPixels, 3, 255), ""); }

}  // namespace

void append_cell(Cells& cells, const image::Image& image) {
  cells.push_back(image::labelled(image::resize(image::to_rgb(image), kCellPixels, kCellPixels), ""));
}

void append_cells(Cells& cells, const geometry::Mesh& mesh) {
  if (mesh.triangles.empty()) {
    cells.insert(cells.end(), kSides, white_cell());
    return;
  }
  for (image::Image& side : generation::labelled_around(mesh, kCellPixels, kSides))
    cells.push_back(std::move(side));
}

image::Image sample_sheet(const std::vector<SheetRow>& rows) {
  constexpr Cells SheetRow::*kParts[] = {&SheetRow::conditions, &SheetRow::sample, &SheetRow::truth};
  Cells cells;
  std::size_t columns = 0;
  std::vector<std::size_t> widths;
  for (const auto part : kParts) {
    std::size_t width = 0;
    for (const SheetRow& row : rows) width = std::max(width, (row.*part).size());
    widths.push_back(width);
    columns += width;
  }
  for (const SheetRow& row : rows) {
    for (std::size_t p = 0; p < widths.size(); ++p) {
      const Cells& part = row.*kParts[p];
      cells.insert(cells.end(), part.begin(), part.end());
      cells.insert(cells.end(), widths[p] - part.size(), white_cell());
    }
  }
  return image::contact_sheet(cells, static_cast<int>(columns));
}

}  // namespace omni::training
