#pragma once

#include <span>
#include <vector>

#include "batch_arena.h"
#include "omni/model/transformer.h"
#include "omni/nn/decoder_block.h"

namespace omni::model {

// What the blocks need to know about a set of rows: written on the host, read on the device.

using at::Tensor;

// Where rows stand, in document order. Spans have one entry per row, document_starts one per document and the
// total; bidirectional the ranges of rows that see all of themselves.
struct RowPlaces {
  std::span<const std::int32_t> offsets, rows, columns;
  std::span<const std::uint8_t> streams;  // 0: text, 1: generated; ignored with one stream
  std::span<const std::int64_t> document_starts;
  std::span<const kernels::RowRange> bidirectional = {};
  bool fixed_shapes = false;  // arrays are as large for any places of so many rows of each stream
};

struct RowPlan {
  nn::StreamOrder order;
  nn::AttentionPlan dual, single;
  Tensor output_rows;  // [outputs] int64: the rows that the blocks give output for; undefined: all
};

// A plan on the host, its arrays in an arena.
struct PlannedRows {
  struct Axis {
    ArenaPlace frequencies, positions, of_row;  // see nn::RotaryAxis
  };
  struct Spans {
    kernels::AttentionSpans spans;
    ArenaPlace bounds;  // see kernels::AttentionSpans::bounds
  };
  std::vector<Axis> axes;
  Spans dual, single;              // single: the generated stream alone, where it has rows of its own
  std::vector<ArenaPlace> stream;  // of two: rows of each in document order
  ArenaPlace joint_order, row_group;

  // A config's single blocks may run over the generated stream alone.
  static PlannedRows plan(const TransformerConfig& config, const RowPlaces& places, BatchArena& arena);
  // bytes: the arena's, on the device of the plan.
  RowPlan on(const Tensor& bytes, const TransformerConfig& config, kernels::AttentionPath path) const;
};

}  // namespace omni::model
