#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "omni/model/transformer.h"

namespace omni::benchmarks {

// The transformers that benchmarks train and decode, by name.
struct Shape {
  const char* name;
  std::int64_t width, blocks, heads;
  std::int64_t geometry;     // codes of a document's shape
  std::int64_t step_tokens;  // trained on in one step

  model::TransformerConfig config() const {
    model::TransformerConfig config;
    config.width = width;
    config.single_blocks = blocks;
    config.heads = heads;
    return config;
  }
};

// peers/shapes.py has the same.
inline constexpr std::array<Shape, 4> kShapes = {{{"tiny", 192, 6, 6, 64, 8192},
                                                  {"100m", 768, 14, 12, 512, 16384},
                                                  {"200m", 1024, 16, 16, 512, 16384},
                                                  {"1b", 2048, 20, 16, 512, 8192}}};

// Ends the program where there is no such shape.
inline const Shape& shape_of(std::string_view name) {
  for (const Shape& shape : kShapes)
    if (shape.name == name) return shape;
  std::fprintf(stderr, "benchmark: no shape is called '%.*s'\n", static_cast<int>(name.size()), name.data());
  std::exit(2);
}

}  // namespace omni::benchmarks
