#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "omni/sequence/packed_sequence.h"

namespace omni::data {

// Makes batches ahead of time on one background thread. Batches come in order; an exception of the producer
// is rethrown by the next() that would have returned its batch, and by every later one.
class PrefetchLoader {
 public:
  using Producer = std::function<sequence::PackedSequence(std::int64_t index)>;

  // Calls produce(first), produce(first + 1), ... up to, not including, `end`, at most `depth` batches ahead.
  PrefetchLoader(Producer produce, std::int64_t first, std::int64_t end, std::size_t depth = 4);
  ~PrefetchLoader();  // stops after the batch in progress
  PrefetchLoader(const PrefetchLoader&) = delete;
  PrefetchLoader& operator=(const PrefetchLoader&) = delete;

  std::optional<sequence::PackedSequence> next();  // waits for a batch; nullopt after the last one

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace omni::data
