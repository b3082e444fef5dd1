#include "shape_turns.h"

#include "omni/core/error.h"

namespace omni::training {

using at::Tensor;

namespace {

// [3, 3]: a point as a row times this is the turned point.
Tensor matrix_of(const ShapeTurn& turn) {
  Tensor matrix = at::eye(3);
  if (turn.mirrored) matrix[0][0] = -1;
  Tensor quarter = at::zeros({3, 3});
  quarter[2][0] = 1;
  quarter[1][1] = 1;
  quarter[0][2] = -1;
  for (int i = 0; i < turn.quarters; ++i) matrix = at::matmul(matrix, quarter);
  return matrix;
}

// [z, y, x].
Tensor turned_grid(Tensor grid, const ShapeTurn& turn) {
  if (turn.mirrored) grid = grid.flip({2});
  for (int i = 0; i < turn.quarters; ++i) grid = grid.transpose(0, 2).flip({0});
  return grid;
}

}  // namespace

void turn_shapes(ShapeBatch& batch, const std::vector<ShapeTurn>& turns) {
  std::vector<Tensor> matrices;
  for (const ShapeTurn& turn : turns) matrices.push_back(matrix_of(turn));
  const Tensor matrix = at::stack(matrices);
  for (Tensor* places : {&batch.points, &batch.colour_points, &batch.cell_points})
    if (places->defined()) *places = at::bmm(*places, matrix);
  if (batch.surface.defined())
    batch.surface =
        at::bmm(batch.surface.view({batch.surface.size(0), -1, 3}), matrix).view(batch.surface.sizes());
  if (!batch.occupancy.defined()) return;
  std::vector<Tensor> grids;
  for (std::size_t i = 0; i < turns.size(); ++i)
    grids.push_back(turned_grid(batch.occupancy[static_cast<std::int64_t>(i)], turns[i]));
  batch.occupancy = at::stack(grids);
}

std::vector<ShapeTurn> random_turns(std::int64_t count, CounterRng& rng) {
  std::vector<ShapeTurn> turns;
  for (std::int64_t i = 0; i < count; ++i) turns.push_back({static_cast<int>(rng.below(4)), rng.chance(0.5)});
  return turns;
}

}  // namespace omni::training
