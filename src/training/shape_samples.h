#pragma once

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "batch_share.h"
#include "omni/core/random.h"
#include "omni/data/object_source.h"
#include "omni/nn/parameters.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::training {

// Field samples, surface colours and grids of training objects, prepared in the background.

struct ShapeSampleRecipe {
  tokenizers::ShapeInput input;  // what the tokenizer looks at
  std::int64_t near_points = 0;
  std::int64_t volume_points = 0;
  double near_deviation = 0;
  std::int64_t colour_points = 0;  // 0: no colours
  bool distances = false;          // of the field points from the surface
  double stretch = 0;              // half of the objects shrink by up to this share along each axis
  bool turns = false;              // each time an object is drawn it stands in one of eight ways (ShapeTurn)
};

// One object, compactly: about 60 kB for a 32^3 grid.
struct PreparedShape {
  std::vector<std::uint8_t> occupancy;  // grid cells, share * 255
  std::vector<geometry::Vec3> points;   // near points, then volume points
  std::vector<std::uint8_t> inside;
  std::vector<float> distances;               // of the points from the surface, positive inside, if asked for
  std::vector<float> surface;                 // positions and normals, 6 a point
  std::vector<std::uint8_t> surface_colours;  // sRGB there, 3 a point, if there are colour points
  std::vector<geometry::Vec3> colour_points;  // on the surface
  std::vector<std::uint8_t> colours;          // sRGB there, 3 a point
  std::vector<std::int32_t> cells;            // surface cells (shuffled), and their colours
  std::vector<std::uint8_t> cell_colours;
};
PreparedShape prepare_shape(const data::ObjectRecord& record, const ShapeSampleRecipe& recipe,
                            CounterRng rng);

struct ShapeBatch {
  at::Tensor occupancy;                           // [B, R, R, R]; undefined without a grid
  at::Tensor surface;                             // [B, N, 6]; undefined without surface points
  at::Tensor surface_colours;                     // [B, N, 3]; undefined without colours or surface points
  at::Tensor points, inside;                      // [B, P, 3], [B, P] (0 or 1)
  at::Tensor distances;                           // [B, P], positive inside; undefined unless asked for
  at::Tensor colour_points, colours;              // [B, C, 3] each
  at::Tensor cell_points, cell_colours, present;  // [B, S, 3], [B, S, 3], [B, S]
};

ShapeBatch on_device(ShapeBatch batch, at::Device device);

// Objects in an order drawn from the seed, prepared again with other draws where the source has fewer. Step s
// draws a batch of the objects that have arrived by then, by a fixed timetable, and waits for the background
// thread if it is late: a batch depends on (seed, step) alone. What is given is this rank's share of it.
class ShapeSampleStream {
 public:
  ShapeSampleStream(const data::ObjectSource& source, ShapeSampleRecipe recipe, std::int64_t objects,
                    const BatchShare& share, std::uint64_t seed);
  ~ShapeSampleStream();
  ShapeBatch next(std::int64_t step);

 private:
  void produce(std::stop_token stop);
  const PreparedShape& wait_for(std::int64_t position);
  ShapeBatch assemble(const std::vector<const PreparedShape*>& shapes) const;

  const data::ObjectSource& source_;
  ShapeSampleRecipe recipe_;
  const BatchShare share_;
  std::uint64_t seed_;
  std::vector<std::int64_t> order_;
  std::vector<std::unique_ptr<PreparedShape>> prepared_;
  std::int64_t ready_ = 0;
  std::exception_ptr failure_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::jthread producer_;
};

}  // namespace omni::training
