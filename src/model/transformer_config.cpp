#include <algorithm>
#include <numeric>

#include "omni/core/error.h"
#include "omni/model/transformer.h"

namespace omni::model {

bool TransformerConfig::is_bidirectional(sequence::Modality modality) const {
  return std::find(bidirectional.begin(), bidirectional.end(), sequence::modality_name(modality)) !=
         bidirectional.end();
}

void describe(ConfigVisitor& visitor, TransformerConfig& c) {
  visitor.integer("width", c.width, {.minimum = 2, .maximum = 65536});
  visitor.integer("streams", c.streams, {.minimum = 1, .maximum = 2});
  visitor.integer("dual_blocks", c.dual_blocks, {.minimum = 0, .maximum = 1000});
  visitor.integer("single_blocks", c.single_blocks, {.minimum = 0, .maximum = 1000});
  visitor.choice("single_over", c.single_over, {"all", "generated"});
  visitor.integer("heads", c.heads, {.minimum = 1, .maximum = 1024});
  visitor.added_later(c.head_size == 0, [&](ConfigVisitor& added) {
    added.integer("head_size", c.head_size, {.minimum = 0, .maximum = 65536});
  });
  visitor.integer("key_value_heads", c.key_value_heads, {.minimum = 0, .maximum = 1024});
  visitor.number("mlp_multiplier", c.mlp_multiplier, {.minimum = 0.1, .maximum = 32});
  visitor.added_later(c.mlp_hidden == 0, [&](ConfigVisitor& added) {
    added.integer("mlp_hidden", c.mlp_hidden, {.minimum = 0, .maximum = 1 << 20});
  });
  visitor.choice("norm", c.norm, {"rms", "layer"});
  visitor.flag("norm_scale", c.norm_scale);
  visitor.number("norm_epsilon", c.norm_epsilon, {.minimum = 0, .maximum = 1});
  visitor.flag("bias", c.bias);
  visitor.choice("rope", c.rope, {"half", "interleaved"});
  visitor.number("rope_theta", c.rope_theta, {.minimum = 1});
  visitor.integers("rope_split", c.rope_split, {.minimum = 0});
  visitor.flag("query_key_norm", c.query_key_norm);
  visitor.number("query_key_norm_epsilon", c.query_key_norm_epsilon, {.minimum = 0, .maximum = 1});
  visitor.flag("tied_embeddings", c.tied_embeddings);
  visitor.flag("slot_embedding", c.slot_embedding);
  visitor.flag("codebook_embedding", c.codebook_embedding);
  visitor.texts("bidirectional", c.bidirectional, {"text", "image", "shape"});
  visitor.added_later(c.features.empty(), [&](ConfigVisitor& added) {
    added.list(
        "features", c.features.size(), [&](std::size_t count) { c.features.assign(count, {}); },
        [&](ConfigVisitor& item, std::size_t i) {
          item.text("name", c.features[i].name);
          item.integer("width", c.features[i].width, {.minimum = 1, .maximum = 65536});
        });
  });
  visitor.number("dropout", c.dropout, {.minimum = 0, .maximum = 0.9});
  visitor.number("initial_deviation", c.initial_deviation, {.minimum = 1e-6, .maximum = 1});
}

void validate(const TransformerConfig& c) {
  const auto require = [](bool good, const auto&... parts) {
    if (!good) fail(ErrorKind::usage, "transformer config: ", parts...);
  };
  require(c.head_size > 0 || c.width % c.heads == 0, "width ", c.width, " is not a multiple of heads ",
          c.heads, "; set head_size");
  const std::int64_t head_size = c.attention_head_size();
  require(head_size > 0 && head_size % 2 == 0, "the head size ", head_size,
          c.head_size > 0 ? "" : " (width / heads)", " must be even for rotary positions");
  require(c.heads % c.stored_heads() == 0, "heads ", c.heads, " is not a multiple of key_value_heads ",
          c.key_value_heads);
  require(c.block_count() > 0, "there are no blocks; set single_blocks or dual_blocks");
  if (c.streams == 1) {
    require(c.dual_blocks == 0, "dual_blocks need streams: 2");
    require(c.single_over == "all", "single_over: generated needs streams: 2");
  } else {
    require(c.dual_blocks > 0, "streams: 2 needs dual_blocks");
  }
  for (std::size_t i = 0; i < c.features.size(); ++i) {
    const std::string& name = c.features[i].name;
    require(!name.empty() && std::none_of(c.features.begin(), c.features.begin() + i,
                                          [&](const auto& earlier) { return earlier.name == name; }),
            "every one of features needs a name of its own; '", name, "' is none");
  }
  if (!c.rope_split.empty()) {
    require(c.rope_split.size() == 3,
            "rope_split lists three numbers: dimensions for offset, row and column");
    for (const std::int64_t part : c.rope_split)
      require(part % 2 == 0, "every part of rope_split must be even");
    const auto total = std::accumulate(c.rope_split.begin(), c.rope_split.end(), std::int64_t{0});
    require(total == head_size, "rope_split adds up to ", total, ", but the head size is ", head_size);
  }
}

void check_task(const TransformerConfig& config, const sequence::Task& task) {
  const bool silent_text = config.drops_text();
  for (const sequence::TaskSegment& segment : task.segments) {
    if (!segment.loss) continue;
    const std::string_view name = sequence::modality_name(segment.modality);
    if (config.is_bidirectional(segment.modality))
      fail(ErrorKind::usage, "task '", task.name, "' generates ", name, ", but bidirectional lists ", name,
           ", whose tokens see those after them. Take it from the list, or drop the task");
    if (segment.modality != sequence::Modality::text || !silent_text) continue;
    fail(ErrorKind::usage, "task '", task.name,
         "' generates text, but single_over: generated leaves text without output. Set single_over: all, or "
         "drop the task");
  }
}

}  // namespace omni::model
