#include "row_plan.h"

#include "omni/nn/rotary.h"

namespace omni::model {
namespace {

PlannedRows::Spans planned(kernels::AttentionSpans spans, BatchArena& arena) {
  std::vector<std::int32_t> bounds(spans.key_first().begin(), spans.key_first().end());
  bounds.insert(bounds.end(), spans.key_last().begin(), spans.key_last().end());
  return {std::move(spans), arena.add(bounds)};
}

// The spans of a set of rows, among the rows of the generated stream.
kernels::AttentionSpans generated_spans(const RowPlaces& places) {
  std::vector<std::int64_t> before = {0};  // generated rows before each row
  for (const std::uint8_t stream : places.streams) before.push_back(before.back() + stream);
  std::vector<std::int64_t> starts;
  for (const std::int64_t start : places.document_starts) starts.push_back(before[start]);
  std::vector<kernels::RowRange> bidirectional;
  for (const kernels::RowRange& range : places.bidirectional)
    bidirectional.push_back({before[range.first], before[range.last]});
  return kernels::AttentionSpans::causal_with_segments(starts, bidirectional);
}

std::vector<PlannedRows::Axis> planned_axes(const TransformerConfig& config, const RowPlaces& places,
                                            BatchArena& arena) {
  const std::vector<std::span<const std::int32_t>> coordinates = {places.offsets, places.rows,
                                                                  places.columns};
  const std::vector<std::int64_t> dimensions = config.rotary_axes();
  std::vector<PlannedRows::Axis> axes;
  for (std::size_t axis = 0; axis < dimensions.size(); ++axis) {
    nn::DistinctPositions distinct = nn::distinct_positions(coordinates[axis]);
    if (places.fixed_shapes) distinct.positions.resize(coordinates[axis].size());
    axes.push_back({arena.add(nn::rotary_frequencies(dimensions[axis], config.rope_theta)),
                    arena.add(distinct.positions), arena.add(distinct.of_row)});
  }
  return axes;
}

kernels::AttentionSpans spans_on(const Tensor& bytes, const PlannedRows::Spans& planned) {
  // The processor's kernels read the host's.
  if (bytes.is_cpu()) return planned.spans;
  return planned.spans.with_bounds(array_at(bytes, planned.bounds).view({2, planned.spans.rows()}));
}

}  // namespace

PlannedRows PlannedRows::plan(const TransformerConfig& config, const RowPlaces& places, BatchArena& arena) {
  PlannedRows plan;
  plan.axes = planned_axes(config, places, arena);
  plan.dual = planned(
      kernels::AttentionSpans::causal_with_segments(places.document_starts, places.bidirectional), arena);
  plan.single = plan.dual;
  if (config.streams == 1) return plan;

  const auto count = static_cast<std::int64_t>(places.streams.size());
  std::vector<std::vector<std::int64_t>> rows(2);
  for (std::int64_t i = 0; i < count; ++i) rows[places.streams[i]].push_back(i);
  std::vector<std::int64_t> joint(count);
  std::int64_t next = 0;
  for (const auto& stream : rows)
    for (const std::int64_t row : stream) joint[row] = next++;
  for (const auto& stream : rows) plan.stream.push_back(arena.add(stream));
  plan.joint_order = arena.add(joint);
  plan.row_group = arena.add(std::vector<std::uint8_t>(places.streams.begin(), places.streams.end()));
  if (config.drops_text()) plan.single = planned(generated_spans(places), arena);
  return plan;
}

RowPlan PlannedRows::on(const Tensor& bytes, const TransformerConfig& config,
                        kernels::AttentionPath path) const {
  std::vector<nn::RotaryAxis> turning;
  for (const Axis& axis : axes)
    turning.push_back(
        {array_at(bytes, axis.frequencies), array_at(bytes, axis.positions), array_at(bytes, axis.of_row)});
  const nn::RotaryAngles angles = nn::rotary_angles(turning);
  RowPlan plan;
  plan.dual = {angles.cosine, angles.sine, config.rope == "interleaved", spans_on(bytes, dual), path};
  plan.single = plan.dual;
  if (config.streams == 1) return plan;
  for (const ArenaPlace& rows : stream) plan.order.rows.push_back(array_at(bytes, rows));
  plan.order.joint_order = array_at(bytes, joint_order);
  plan.order.row_group = array_at(bytes, row_group);
  if (!config.drops_text()) return plan;
  plan.output_rows = plan.order.rows[1];
  plan.single.cosine = plan.dual.cosine.index_select(0, plan.output_rows);
  plan.single.sine = plan.dual.sine.index_select(0, plan.output_rows);
  plan.single.spans = spans_on(bytes, single);
  return plan;
}

}  // namespace omni::model
