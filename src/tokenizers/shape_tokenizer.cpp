#include "omni/tokenizers/shape_tokenizer.h"

#include <optional>

#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/tokenizers/shape_grid.h"
#include "omni/tokenizers/shape_tokenizer_check.h"
#include "omni/tokenizers/shape_vecset.h"

namespace omni::tokenizers {

void DecodedShape::occupancy(std::span<const geometry::Vec3> points, std::span<std::uint8_t> inside) const {
  ensure(points.size() == inside.size(), "occupancy() needs as many results as points");
  std::vector<float> field(points.size());
  values(points, field);
  for (std::size_t i = 0; i < field.size(); ++i) inside[i] = field[i] > 0;
}

void ShapeTokenizer::compute_in(at::ScalarType type) {
  if (type != at::kFloat)
    fail(ErrorKind::usage,
         "shape tokenizer: the grid layout encodes and decodes in fp32 alone. Leave the precision at fp32");
}

void ShapeTokenizer::to(at::Device device) {
  if (!device.is_cpu())
    fail(ErrorKind::usage, "shape tokenizer: the grid layout encodes and decodes on the cpu alone, not on ",
         device.str(), ". Choose the device cpu");
}

namespace {

// What a folder holds.
struct StoredShapes {
  explicit StoredShapes(const std::filesystem::path& folder) {
    read_stored_config(folder / "config.yaml", [&](ConfigVisitor& v) {
      v.choice("layout", layout, {"grid", "vecset"});
      v.section("grid", [&](ConfigVisitor& s) { describe(s, grid); });
      v.section("vecset", [&](ConfigVisitor& s) { describe(s, vecset); });
    });
    weights.emplace(folder / "weights.safetensors");
  }

  std::string layout = "grid";
  GridShapeConfig grid;
  VecsetShapeConfig vecset;
  std::optional<SafetensorsFile> weights;
};

}  // namespace

std::unique_ptr<ShapeTokenizer> load_shape_tokenizer(const std::filesystem::path& folder) {
  const StoredShapes stored(folder);
  const nn::ParameterStart start = nn::ParameterStart::to_load(*stored.weights);
  if (stored.layout == "vecset") {
    auto tokenizer = std::make_unique<VecsetShapeTokenizer>(stored.vecset, start);
    tokenizer->network().load(*stored.weights);
    tokenizer->network().parameters().set_trainable(false);
    return tokenizer;
  }
  auto tokenizer = std::make_unique<GridShapeTokenizer>(stored.grid, start);
  tokenizer->network().parameters().load(*stored.weights);
  tokenizer->network().parameters().set_trainable(false);
  return tokenizer;
}

CodebookSize require_fitting_shape_tokenizer(const std::filesystem::path& folder) {
  const StoredShapes stored(folder);
  if (stored.layout == "vecset") {
    const VecsetShapeNetwork network(stored.vecset, nn::ParameterStart::shapes());
    network.require_fitting(*stored.weights);
    return {network.quantiser().vocabulary(), network.quantiser().dimensions()};
  }
  GridShapeTokenizer tokenizer(stored.grid, nn::ParameterStart::shapes());
  tokenizer.network().parameters().require_fitting(*stored.weights);
  return {tokenizer.geometry_vocabulary(), tokenizer.network().codes().quantiser().dimensions()};
}

}  // namespace omni::tokenizers
