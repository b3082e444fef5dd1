#include "shape_grid_field.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "omni/core/error.h"
#include "shape_folder.h"

namespace omni::tokenizers {

namespace {

constexpr float kOutsideLogit = -6.0f;  // of the cells beyond the border

struct Corner {
  std::int64_t cell;  // -1 beyond the border
  float weight;
};

std::vector<float> copied(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kFloat).contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

class GridShape : public DecodedShape {
 public:
  GridShape(const at::Tensor& logits, const at::Tensor& slots, const at::Tensor& palette, float half_extent)
      : side_(static_cast<int>(logits.size(0))), half_extent_(half_extent), logits_(copied(logits)) {
    if (!palette.defined()) return;
    palette_ = copied(palette.clamp(0.0, 1.0));
    slot_count_ = palette.size(0);
    slot_side_ = static_cast<int>(slots.size(1));
    slots_ = copied(slots.permute({1, 2, 3, 0}));  // a cell's slots side by side
  }

  void values(std::span<const geometry::Vec3> points, std::span<float> values) const override {
    ensure(points.size() == values.size(), "values() needs as many values as points");
    for (std::size_t i = 0; i < points.size(); ++i) {
      float sum = 0;
      for (const auto& corner : corners(points[i], side_, false))
        sum += corner.weight *
               (corner.cell < 0 ? kOutsideLogit : logits_[static_cast<std::size_t>(corner.cell)]);
      values[i] = sum;
    }
  }

  void colour(std::span<const geometry::Vec3> points, std::span<geometry::Vec3> colours) const override {
    ensure(points.size() == colours.size(), "colour() needs as many colours as points");
    if (!has_colour()) {
      std::fill(colours.begin(), colours.end(), kUncolouredSurface);
      return;
    }
    std::vector<float> slots(static_cast<std::size_t>(slot_count_));
    for (std::size_t i = 0; i < points.size(); ++i) {
      std::fill(slots.begin(), slots.end(), 0.0f);
      for (const auto& corner : corners(points[i], slot_side_, true)) {
        const float* cell = slots_.data() + corner.cell * slot_count_;
        for (std::int64_t k = 0; k < slot_count_; ++k)
          slots[static_cast<std::size_t>(k)] += corner.weight * cell[k];
      }
      colours[i] = mixed(slots);
    }
  }
  bool has_colour() const override { return !palette_.empty(); }

 private:
  std::array<Corner, 8> corners(geometry::Vec3 point, int side, bool clamp) const {
    std::array<int, 3> low;
    std::array<float, 3> part;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      // In cells, 0 at the first cell centre. Comparisons are written so that NaN lands on the border.
      float place = (point[axis] / half_extent_ + 1.0f) * 0.5f * static_cast<float>(side) - 0.5f;
      const float first = clamp ? 0.0f : -1.0f, last = static_cast<float>(side) - (clamp ? 1.0f : 0.0f);
      place = place > first ? std::min(place, last) : first;
      low[axis] = std::min(static_cast<int>(std::floor(place)), static_cast<int>(last) - 1);
      part[axis] = place - static_cast<float>(low[axis]);
    }
    std::array<Corner, 8> out;
    for (int c = 0; c < 8; ++c) {
      const int x = low[0] + (c & 1), y = low[1] + (c >> 1 & 1), z = low[2] + (c >> 2);
      const float weight =
          (c & 1 ? part[0] : 1 - part[0]) * (c & 2 ? part[1] : 1 - part[1]) * (c & 4 ? part[2] : 1 - part[2]);
      const bool known = x >= 0 && y >= 0 && z >= 0 && x < side && y < side && z < side;
      out[static_cast<std::size_t>(c)] = {known ? (static_cast<std::int64_t>(z) * side + y) * side + x : -1,
                                          weight};
    }
    return out;
  }

  geometry::Vec3 mixed(const std::vector<float>& slots) const {
    const float largest = *std::max_element(slots.begin(), slots.end());
    float total = 0;
    geometry::Vec3 colour;
    for (std::size_t k = 0; k < slots.size(); ++k) {
      const float weight = std::exp(slots[k] - largest);
      total += weight;
      colour += geometry::Vec3{palette_[3 * k], palette_[3 * k + 1], palette_[3 * k + 2]} * weight;
    }
    return colour * (1.0f / total);
  }

  int side_;
  float half_extent_;
  std::vector<float> logits_, slots_, palette_;
  std::int64_t slot_count_ = 0;
  int slot_side_ = 0;
};

}  // namespace

std::unique_ptr<DecodedShape> make_grid_shape(const at::Tensor& logits, const at::Tensor& slots,
                                              const at::Tensor& palette, float half_extent) {
  return std::make_unique<GridShape>(logits, slots, palette, half_extent);
}

}  // namespace omni::tokenizers
