#include "shape_samples.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "omni/core/error.h"
#include "omni/core/shuffle.h"
#include "omni/data/shape_sample.h"
#include "omni/tokenizers/shape_grid.h"
#include "placed_field.h"
#include "shape_turns.h"
#include "surface_distance.h"

namespace omni::training {

using at::Tensor;
using geometry::Vec3;

namespace {

constexpr std::int64_t kCellsPerBatchRow = 384;  // surface cells whose colours are pooled in a training step

std::uint8_t to_byte(float value) {
  return static_cast<std::uint8_t>(std::clamp(value, 0.0f, 1.0f) * 255.0f + 0.5f);
}

// The object as the tokenizer sees it through `field`, with visible surface points.
tokenizers::ShapeSample stretched_sample(const data::ObjectRecord& record, const PlacedField& field,
                                         tokenizers::ShapeInput input, CounterRng rng) {
  const int side = input.grid_resolution;
  input.grid_resolution = 0;
  auto sample = data::make_shape_sample(record, input, rng);
  const Vec3 s = field.scale();
  for (Vec3& p : sample.surface.positions) p = {p.x * s.x, p.y * s.y, p.z * s.z};
  for (Vec3& n : sample.surface.normals) n = geometry::normalised({n.x / s.x, n.y / s.y, n.z / s.z});
  if (side > 0)
    sample.grid = geometry::voxelise(field, side, input.grid_half_extent, input.grid_samples_per_axis);
  return sample;
}

// Near points from `surface`, then points in the whole frame, and which of them are inside.
void draw_field_points(const geometry::SolidField& field, const ShapeSampleRecipe& recipe,
                       std::span<const Vec3> surface, CounterRng& rng, PreparedShape& shape) {
  for (const Vec3 point : surface) {
    const auto offset = [&] { return static_cast<float>(recipe.near_deviation * rng.normal()); };
    shape.points.push_back(point + Vec3{offset(), offset(), offset()});
  }
  for (std::int64_t i = 0; i < recipe.volume_points; ++i) {
    const auto place = [&] { return static_cast<float>(rng.uniform(-1.0, 1.0)); };
    shape.points.push_back({place(), place(), place()});
  }
  shape.inside.resize(shape.points.size());
  field.occupancy(shape.points, shape.inside);
}

void keep_cell_colours(const geometry::VoxelGrid& grid, CounterRng& rng, PreparedShape& shape) {
  const auto cells = tokenizers::surface_cells(grid);
  std::vector<std::int64_t> order(cells.size());
  std::iota(order.begin(), order.end(), 0);
  shuffle(std::span(order), rng);
  order.resize(std::min<std::size_t>(order.size(), kCellsPerBatchRow));
  for (const auto i : order) {
    const auto cell = cells[static_cast<std::size_t>(i)];
    shape.cells.push_back(cell);
    for (int c = 0; c < 3; ++c)
      shape.cell_colours.push_back(grid.colours[3 * static_cast<std::size_t>(cell) + c]);
  }
}

Tensor points_tensor(const std::vector<const PreparedShape*>& shapes,
                     std::vector<Vec3> PreparedShape::*member) {
  const auto count = (shapes[0]->*member).size();
  Tensor out = at::empty({static_cast<std::int64_t>(shapes.size()), static_cast<std::int64_t>(count), 3});
  float* target = out.data_ptr<float>();
  for (const auto* shape : shapes) {
    ensure((shape->*member).size() == count, "prepared shapes differ in their sample counts");
    std::memcpy(target, (shape->*member).data(), count * sizeof(Vec3));
    target += 3 * count;
  }
  return out;
}

// Bytes as floats over `scale`, [shapes, sizes...].
Tensor bytes_tensor(const std::vector<const PreparedShape*>& shapes,
                    std::vector<std::uint8_t> PreparedShape::*member, std::vector<std::int64_t> sizes,
                    float scale) {
  sizes.insert(sizes.begin(), static_cast<std::int64_t>(shapes.size()));
  Tensor out = at::empty(sizes);
  float* target = out.data_ptr<float>();
  for (const auto* shape : shapes)
    for (const auto value : shape->*member) *target++ = static_cast<float>(value) / scale;
  return out;
}

}  // namespace

PreparedShape prepare_shape(const data::ObjectRecord& record, const ShapeSampleRecipe& recipe,
                            CounterRng rng) {
  PreparedShape shape;
  // One draw of visible surface points serves the encoder, the near points and the colours.
  tokenizers::ShapeInput input = recipe.input;
  const auto seen = static_cast<std::size_t>(input.surface_points);
  const auto near = static_cast<std::size_t>(recipe.near_points);
  const auto coloured = static_cast<std::size_t>(recipe.colour_points);
  input.surface_points = static_cast<int>(seen + near + coloured);
  CounterRng point_rng(rng.next_u64(), 1);
  const bool stretched = recipe.stretch > 0 && point_rng.chance(0.5);
  const auto factor = [&] { return static_cast<float>(1.0 - recipe.stretch * point_rng.uniform()); };
  const PlacedField stretched_field(*record.field,
                                    stretched ? Vec3{factor(), factor(), factor()} : Vec3{1, 1, 1}, Vec3{});
  const auto sample = stretched ? stretched_sample(record, stretched_field, input, rng)
                                : data::make_shape_sample(record, input, rng);
  for (const float share : sample.grid.occupancy) shape.occupancy.push_back(to_byte(share));
  const auto& surface = sample.surface;
  for (std::size_t i = 0; i < seen; ++i)
    for (const Vec3 v : {surface.positions[i], surface.normals[i]})
      for (std::size_t c = 0; c < 3; ++c) shape.surface.push_back(v[c]);
  for (std::size_t i = 0; i < seen && coloured > 0; ++i)
    for (std::size_t c = 0; c < 3; ++c) shape.surface_colours.push_back(to_byte(surface.colours[i][c]));
  draw_field_points(stretched_field, recipe, std::span(surface.positions).subspan(seen, near), point_rng,
                    shape);
  if (recipe.distances)
    shape.distances = signed_distances(record, stretched_field.scale(), shape.points, shape.inside);
  for (std::size_t i = seen + near; i < seen + near + coloured; ++i) {
    shape.colour_points.push_back(surface.positions[i]);
    for (std::size_t c = 0; c < 3; ++c) shape.colours.push_back(to_byte(surface.colours[i][c]));
  }
  if (coloured > 0) keep_cell_colours(sample.grid, point_rng, shape);
  return shape;
}

ShapeBatch on_device(ShapeBatch batch, at::Device device) {
  for (Tensor* tensor : {&batch.occupancy, &batch.surface, &batch.surface_colours, &batch.points,
                         &batch.inside, &batch.distances, &batch.colour_points, &batch.colours,
                         &batch.cell_points, &batch.cell_colours, &batch.present})
    if (tensor->defined()) *tensor = tensor->to(device);
  return batch;
}

ShapeSampleStream::ShapeSampleStream(const data::ObjectSource& source, ShapeSampleRecipe recipe,
                                     std::int64_t objects, const BatchShare& share, std::uint64_t seed)
    : source_(source), recipe_(recipe), share_(share), seed_(seed) {
  if (source.size() <= 0)
    fail(ErrorKind::input, "training a shape tokenizer: the data set is empty. Give another");
  order_.resize(static_cast<std::size_t>(source.size()));
  std::iota(order_.begin(), order_.end(), 0);
  CounterRng rng(seed, hash_string("order of objects"));
  shuffle(std::span(order_), rng);
  const std::size_t distinct = order_.size();
  order_.resize(static_cast<std::size_t>(objects));
  for (std::size_t i = distinct; i < order_.size(); ++i) order_[i] = order_[i - distinct];
  prepared_.resize(order_.size());
  producer_ = std::jthread([this](std::stop_token stop) { produce(stop); });
}

ShapeSampleStream::~ShapeSampleStream() = default;

void ShapeSampleStream::produce(std::stop_token stop) {
  for (std::size_t i = 0; i < order_.size() && !stop.stop_requested(); ++i) {
    try {
      auto shape = std::make_unique<PreparedShape>(
          prepare_shape(source_.load(order_[i]), recipe_, CounterRng(seed_, hash_combine(1, i))));
      const std::lock_guard lock(mutex_);
      prepared_[i] = std::move(shape);
      ready_ = static_cast<std::int64_t>(i) + 1;
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
    }
    arrived_.notify_all();
    if (failure_) return;
  }
}

const PreparedShape& ShapeSampleStream::wait_for(std::int64_t position) {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [&] { return failure_ || ready_ > position; });
  if (ready_ <= position) std::rethrow_exception(failure_);
  return *prepared_[static_cast<std::size_t>(position)];
}

ShapeBatch ShapeSampleStream::next(std::int64_t step) {
  const std::int64_t batch = share_.batch();
  // Half a batch of new objects arrives per step.
  const auto known =
      std::min<std::int64_t>(static_cast<std::int64_t>(order_.size()), 4 * batch + step * batch / 2);
  CounterRng rng(seed_, hash_combine(hash_string("batch"), static_cast<std::uint64_t>(step)));
  wait_for(known - 1);
  std::vector<const PreparedShape*> shapes;
  for (std::int64_t i = 0; i < batch; ++i)
    shapes.push_back(&wait_for(static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(known)))));
  const std::int64_t first = share_.first(), end = first + share_.count();
  ShapeBatch own = assemble({shapes.begin() + first, shapes.begin() + end});
  if (!recipe_.turns) return own;
  const std::vector<ShapeTurn> turns = random_turns(batch, rng);
  turn_shapes(own, {turns.begin() + first, turns.begin() + end});
  return own;
}

ShapeBatch ShapeSampleStream::assemble(const std::vector<const PreparedShape*>& shapes) const {
  ShapeBatch batch;
  const auto count = static_cast<std::int64_t>(shapes.size());
  const std::int64_t side = recipe_.input.grid_resolution;
  if (side > 0) batch.occupancy = bytes_tensor(shapes, &PreparedShape::occupancy, {side, side, side}, 255.0f);
  if (recipe_.input.surface_points > 0) {
    batch.surface = at::empty({count, recipe_.input.surface_points, 6});
    float* target = batch.surface.data_ptr<float>();
    for (const auto* shape : shapes) target = std::copy(shape->surface.begin(), shape->surface.end(), target);
  }
  batch.points = points_tensor(shapes, &PreparedShape::points);
  batch.inside = bytes_tensor(shapes, &PreparedShape::inside, {batch.points.size(1)}, 1.0f);
  if (recipe_.distances) {
    batch.distances = at::empty_like(batch.inside);
    float* target = batch.distances.mutable_data_ptr<float>();
    for (const auto* shape : shapes)
      target = std::copy(shape->distances.begin(), shape->distances.end(), target);
  }
  if (recipe_.colour_points == 0) return batch;
  if (batch.surface.defined())
    batch.surface_colours =
        bytes_tensor(shapes, &PreparedShape::surface_colours, {batch.surface.size(1), 3}, 255.0f);
  batch.colour_points = points_tensor(shapes, &PreparedShape::colour_points);
  batch.colours = bytes_tensor(shapes, &PreparedShape::colours, {batch.colour_points.size(1), 3}, 255.0f);
  batch.cell_points = at::zeros({count, kCellsPerBatchRow, 3});
  batch.cell_colours = at::zeros({count, kCellsPerBatchRow, 3});
  batch.present = at::zeros({count, kCellsPerBatchRow});
  for (std::int64_t i = 0; i < count; ++i) {
    const auto& shape = *shapes[static_cast<std::size_t>(i)];
    float* point = batch.cell_points.data_ptr<float>() + i * kCellsPerBatchRow * 3;
    float* colour = batch.cell_colours.data_ptr<float>() + i * kCellsPerBatchRow * 3;
    std::fill_n(batch.present.data_ptr<float>() + i * kCellsPerBatchRow, shape.cells.size(), 1.0f);
    const auto n = static_cast<std::int32_t>(side);
    for (const auto cell : shape.cells)
      for (const auto index : {cell % n, cell / n % n, cell / (n * n)})
        *point++ = static_cast<float>(2 * index + 1 - n) / static_cast<float>(n);
    for (const auto value : shape.cell_colours) *colour++ = static_cast<float>(value) / 255.0f;
  }
  return batch;
}

}  // namespace omni::training
