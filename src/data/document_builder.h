#pragma once

#include <span>
#include <vector>

#include "omni/core/random.h"
#include "omni/data/batch_source.h"
#include "omni/data/edit_instructions.h"
#include "omni/data/token_dataset.h"
#include "omni/sequence/task.h"

namespace omni::data {

// The objects that a document shows. `instructions`: of an edit, one of which the document draws.
struct Example {
  std::int64_t object = 0;
  std::int64_t before = -1;
  std::span<const Instruction> instructions = {};
};

// Fills a task's segments from an example. Stateless; every random choice comes from the given generator.
class DocumentBuilder {
 public:
  DocumentBuilder(const TokenDataset& dataset, const sequence::SequenceLayout& layout, bool views,
                  const BatchOptions& options);

  // Whether the object has what the task's segments of this source need.
  bool serves(const sequence::Task& task, std::string_view source, std::int64_t object) const;
  // Whether any document may show this caption of an object as a condition, or as a text to be written.
  bool draws(TokenDataset::Place place, std::int64_t caption, bool is_condition) const;
  sequence::Document build(const sequence::Task& task, const Example& example, CounterRng rng) const;

 private:
  // Of each segment of a task that is no edit: whether the object has it.
  std::vector<bool> members(const sequence::Task& task, std::int64_t object) const;
  sequence::TextPayload text(const Example& example, bool is_condition, CounterRng& rng) const;
  sequence::ShapePayload shape(std::int64_t object, CounterRng& rng) const;
  std::vector<std::int64_t> draw_views(const sequence::Task& task, const Example& example,
                                       CounterRng& rng) const;

  const TokenDataset& dataset_;
  const sequence::SequenceLayout& layout_;
  bool views_;
  const BatchOptions& options_;
};

}  // namespace omni::data
